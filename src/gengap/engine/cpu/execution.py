"""Programs run by `kernels/forward.cpp` on the numbers of many networks and on many images."""

import functools

import torch
from torch import Tensor

from gengap.engine.cpu import library, patch_moments
from gengap.engine.cpu.program import Program
from gengap.engine.stack import State

# Numbers that statistics hold: the images, and what passes keep of them for the networks that are measured at a time.
_KEPT = 2**26
_MOST_KEPT = 2**28
HELD_BYTES = 4 * _KEPT  # from the first such call on
# Images that go through the kernels together, at most.
_BLOCK = 64


def numbers(made: Program, state: State) -> Tensor:
    """The numbers of every network, ``[K, count]``.

    Args:
        made: Their program.
        state: ``<layer>.weight`` and ``<layer>.bias`` of every layer, those of a BatchNorm its scale and shift.
    """
    parts = [state[f"{name}.{part}"].flatten(1) for name in made.layers for part in ("weight", "bias")]
    own = torch.cat(parts, dim=1)
    if not library.runs(own):  # kernels take whatever lies in memory for float32
        raise TypeError(f"networks must be float32 on the processor like their images, got {own.dtype}, {own.device}.")
    return own


def outputs(made: Program, state: State, images: Tensor) -> Tensor:
    """Outputs of every network on every image.

    Args:
        made: Without measurements.
        state: As `numbers` takes it.
        images: ``[N, C, H, W]``, float32, where `library.runs`.

    Returns:
        ``[K, N, n_outputs]``.
    """
    images, own = images.contiguous(), numbers(made, state)
    result = images.new_empty(len(own), len(images), made.n_outputs)
    sizes = (*_sizes(made, own, images), made.n_outputs)
    library.call("gengap_forward", images, own, result, made.instructions, sizes)
    return result


def fits(made: Program, images: Tensor) -> bool:
    """Whether what the statistics of one network keep of all images is not too much."""
    return made.kept * len(images) <= _MOST_KEPT


def statistics(
    made: Program, state: State, images: Tensor, eps: float, *, outputs: bool = False
) -> tuple[State, Tensor | None]:
    """What every BatchNorm of every network reads, over all images, when those before it use their own statistics.

    Args:
        made: With measurements.
        state: As `numbers` takes it; a BatchNorm's weight and bias are its own, those of `made.known` are there too.
        images: ``[N, C, H, W]``, float32, where `library.runs` and `fits`.
        eps: Added to every variance.
        outputs: Whether to give the outputs on these images as well, for little more.

    Returns:
        ``<layer>.running_mean`` and ``<layer>.running_var``, the biased variance, ``[K, features]``, and the outputs
        ``[K, N, n_outputs]`` if they are asked for and the program makes them.
    """
    images = images.contiguous()
    by_name: State = {}
    for known in made.known:
        mean, variance = patch_moments.statistics(known, state, images)
        state = {**state, **patch_moments.normalised(known, state, mean, variance + eps)}
        by_name |= {f"{known.norm}.running_mean": mean.float(), f"{known.norm}.running_var": variance.float()}
    own = numbers(made, state)
    features = {name: state[f"{name}.weight"].shape[1] for name in made.norms}
    means, variances = (images.new_empty(len(own), sum(features.values())) for _ in range(2))
    blocks = -(-len(images) // _BLOCK) * _BLOCK
    of_images, of_network = images[0].numel() * blocks, made.kept * blocks
    kept = _held(_KEPT) if of_network <= _KEPT else images.new_empty(of_network)
    turned = None
    if of_images + of_network <= len(kept):  # the images are turned once, not for every pass
        turned, kept = kept.split([of_images, len(kept) - of_images])
    at_once = max(1, min(len(own), len(kept) // max(1, of_network)))
    n_outputs = made.n_outputs if outputs else 0
    given = images.new_empty(len(own), len(images), n_outputs)
    sizes = (*_sizes(made, own, images), sum(features.values()), made.kept, at_once, n_outputs)
    library.call("gengap_statistics", images, own, means, variances, given, kept, turned, eps, made.instructions, sizes)
    found = {"running_mean": means, "running_var": variances}
    by_name |= {
        f"{name}.{kind}": part
        for kind, values in found.items()
        for name, part in zip(features, values.split(list(features.values()), dim=1), strict=True)
    }
    return by_name, given if n_outputs else None


@functools.lru_cache(maxsize=1)
def _held(count: int) -> Tensor:
    """Memory that every call uses again: to take it anew from the system costs as much time as a pass."""
    return torch.empty(count, dtype=torch.float32)


def _sizes(made: Program, numbers: Tensor, images: Tensor) -> tuple[int, ...]:
    return (*images.shape[:2], images.shape[2] * images.shape[3], *numbers.shape, made.room, made.length)
