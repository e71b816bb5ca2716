"""Programs run by `kernels/evaluation.cpp` on the weights of many networks and on many images."""

import functools

import torch
from torch import Tensor

from gengap.engine.cpu import operators, patch_moments
from gengap.engine.cpu.program import Program
from gengap.engine.stack import State

# Numbers of the scratch memory of statistics: images, and maps that passes keep of the networks that run together.
_SCRATCH = 2**26
_MOST_KEPT = 2**28
HELD_BYTES = 4 * _SCRATCH  # from the first such call on
# Images that go through the kernels together, at most.
_BLOCK = 64


def network_weights(program: Program, state: State) -> Tensor:
    """The weights of every network, ``[K, count]``.

    Args:
        program: Of these networks.
        state: ``<layer>.weight`` and ``<layer>.bias`` of every layer, those of a BatchNorm its scale and shift.

    Raises:
        TypeError: If the kernels cannot take them, as their images.
    """
    parts = [state[f"{name}.{part}"].flatten(1) for name in program.layers for part in ("weight", "bias")]
    weights = torch.cat(parts, dim=1)
    if not operators.supports(weights):
        kind = f"{weights.dtype} on {weights.device}"
        raise TypeError(f"networks must be float32 on the CPU like their images, got {kind}.")
    return weights


def outputs(program: Program, state: State, images: Tensor) -> Tensor:
    """Outputs of every network on every image.

    Args:
        program: Without measurements.
        state: As `network_weights` takes it.
        images: ``[N, C, H, W]``, float32, where `operators.supports`.

    Returns:
        ``[K, N, n_outputs]``.
    """
    images, weights = images.contiguous(), network_weights(program, state)
    result: Tensor = torch.ops.gengap.evaluate(
        images, weights, program.instructions, program.buffer_size, program.n_outputs
    )
    return result


def fits(program: Program, images: Tensor) -> bool:
    """Whether what the statistics of one network keep of all images is not too much."""
    return program.kept_size * len(images) <= _MOST_KEPT


def statistics(
    program: Program, state: State, images: Tensor, eps: float, *, outputs: bool = False
) -> tuple[State, Tensor | None]:
    """What every BatchNorm of every network reads, over all images, when those before it use their own statistics.

    Args:
        program: With measurements.
        state: As `network_weights` takes it; a BatchNorm's weight and bias are its own, those of `patch_norms` are
            there too.
        images: ``[N, C, H, W]``, float32, where `operators.supports` and `fits`.
        eps: Added to every variance.
        outputs: Whether to give the outputs on these images as well, for little more.

    Returns:
        ``<layer>.running_mean`` and ``<layer>.running_var``, the biased variance, ``[K, features]``, and the outputs
        ``[K, N, n_outputs]`` if they are asked for and the program computes them.
    """
    images = images.contiguous()
    buffers: State = {}
    for norm in program.patch_norms:
        mean, variance = patch_moments.statistics(norm, state, images)
        state = {**state, **patch_moments.normalised(norm, state, mean, variance + eps)}
        buffers |= {f"{norm.norm}.running_mean": mean.float(), f"{norm.norm}.running_var": variance.float()}
    weights = network_weights(program, state)
    features = [state[f"{name}.weight"].shape[1] for name in program.norms]
    kept = program.kept_size * -(-len(images) // _BLOCK) * _BLOCK  # of one network
    scratch = _held(_SCRATCH) if kept <= _SCRATCH else images.new_empty(kept)
    sizes = (program.buffer_size, program.kept_size, program.n_outputs if outputs else 0, sum(features))
    means, variances, result = torch.ops.gengap.exact_statistics(
        images, weights, scratch, program.instructions, *sizes, eps
    )
    for kind, values in (("running_mean", means), ("running_var", variances)):
        parts = values.split(features, dim=1)
        buffers |= {f"{name}.{kind}": part for name, part in zip(program.norms, parts, strict=True)}
    return buffers, result if outputs and program.n_outputs else None


@functools.lru_cache(maxsize=1)
def _held(count: int) -> Tensor:
    """Memory that every call reuses: allocating it from the system takes as much time as a pass."""
    return torch.empty(count, dtype=torch.float32)
