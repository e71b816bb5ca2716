"""The step of small networks by our own kernels: a pack's forward pass is one call, and so is its backward pass."""

import functools
import math

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap

from gengap import losses
from gengap.engine.cpu import operators
from gengap.engine.fused import passes
from gengap.engine.fused.program import Program, program
from gengap.engine.graph.network_graph import shaped
from gengap.engine.layers import dropout
from gengap.engine.layers.batchnorm import FunctionalBatchNorm
from gengap.engine.stack import Architecture, State
from gengap.studies.settings import Cell
from gengap.training.augmentation import augmented
from gengap.training.step import NetworkState, Step, StepInputs, make_step, update

_CACHE = 2**22  # bytes of maps that a processor's cache still has when the backward pass reads them
_MOST_GROUPS = 16  # of the networks of a pack: each takes half a second to compile
_MOST_BYTES = 2**31  # of one network's maps and a batch: beyond, PyTorch's order, which frees maps on its way back

_COPIES = 5  # of a group's maps, theirs and their gradients: measured at the peak of a compiled step, the others hold 2
_KEPT = 2**27  # bytes of maps that nothing uses: `engine/cpu/kernels/kept_memory.h`
_CHANGED_BATCHES = 12  # copies of a batch, counted in float32, that augmenting it takes at a time: indices are int64


def fuses(arch: Architecture, cell: Cell, image_shape: tuple[int, int, int], batch_size: int) -> bool:
    """Whether a CPU trains these networks by this step unless told otherwise.

    A function of sizes only, so that a network's bits do not depend on its pack.

    Args:
        arch: Their architecture, with convolutions: for matrix products alone there are better libraries.
        cell: Any cell of the pack.
        image_shape: ``(channels, height, width)``.
        batch_size: Samples per step.
    """
    if cell.training.weights_dtype != "float32" or not operators.available():
        return False
    convolutions = any(isinstance(layer, nn.Conv2d) for layer in arch.training.modules())
    made = _program(arch, cell, image_shape) if convolutions else None
    samples = _computed(made, batch_size) if made is not None else 0
    return made is not None and samples > 0 and made.size * samples * torch.float32.itemsize <= _MOST_BYTES


def computed_samples(arch: Architecture, cell: Cell, image_shape: tuple[int, int, int], batch_size: int) -> int:
    """For how many samples the kernels compute a batch of so many, where `fuses`; 0: it takes the stacked step."""
    made = _program(arch, cell, image_shape)
    return _computed(made, batch_size) if made is not None else 0


def groups(arch: Architecture, cell: Cell, image_shape: tuple[int, int, int], n_networks: int, batch_size: int) -> int:
    """In how many groups one thread of a CPU takes a pack forward and backward, where `fuses`."""
    made = _program(arch, cell, image_shape)
    assert made is not None
    return len(_groups(n_networks, _computed(made, batch_size), made.size))


def held_bytes(arch: Architecture, cell: Cell, image_shape: tuple[int, int, int], batch_size: int) -> tuple[int, int]:
    """What a step holds beside weights, where `fuses`: of every network its batch, and the maps of one group.

    Args:
        arch: Their architecture.
        cell: Any cell of the pack.
        image_shape: ``(channels, height, width)``.
        batch_size: Samples per step.

    Returns:
        Bytes for every network, and those for any number of them.
    """
    made = _program(arch, cell, image_shape)
    assert made is not None
    one = _computed(made, batch_size) * torch.float32.itemsize
    changed = cell.training.augmentation != "none" or cell.labels.name == "patches"
    batches = _CHANGED_BATCHES if changed else 1
    maps = _COPIES * made.size * one
    each = batches * math.prod(image_shape) * one + math.ceil(maps / _MOST_GROUPS)  # groups grow when packs do
    return each, torch.get_num_threads() * max(_COPIES * _CACHE, maps) + _KEPT


def _program(arch: Architecture, cell: Cell, image_shape: tuple[int, int, int]) -> Program | None:
    settings = cell.training
    if settings.dtype == "bfloat16" or settings.noise_std or settings.step_batchnorm == "exact":
        return None
    return _program_of(arch, image_shape)


@functools.cache  # packs of a grid share architectures
def _program_of(arch: Architecture, image_shape: tuple[int, int, int]) -> Program | None:
    traced = shaped(dropout.masked(arch.training), image_shape)
    made = None if traced is None else program(traced)
    return made if made is not None and set(made.parameters) == set(arch.parameters) else None


def make_fused_step(arch: Architecture, cell: Cell, image_shape: tuple[int, int, int]) -> Step | None:
    """The same step as `gengap.training.step.make_step`, up to rounding; None where the kernels lack a layer.

    Batches that the kernels cannot take go through that step.

    Args:
        arch: Of the networks.
        cell: Any cell of the pack; in bfloat16 there are no such kernels.
        image_shape: ``(channels, height, width)``.
    """
    made = _program(arch, cell, image_shape)
    if made is None:
        return None
    instructions = made
    norms = {name: arch.training.get_submodule(name) for name in made.norms}
    momenta = {name: norm.momentum for name, norm in norms.items() if isinstance(norm, FunctionalBatchNorm)}
    sample_losses = losses.sample_losses(cell.loss)
    updated = update(arch, cell)
    stacked = make_step(arch, cell)

    def mean_loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return sample_losses(outputs, targets).mean()

    def step(
        networks: NetworkState, images: Tensor, targets: Tensor, inputs: StepInputs
    ) -> tuple[NetworkState, Tensor]:
        samples, hyperparameters, augmentations, _ = inputs
        n_networks, batch_size = samples.shape
        computed = batch_size if images.is_cuda else _computed(instructions, batch_size)
        if not computed or not passes.supports(instructions, images, computed):
            return stacked(networks, images, targets, inputs)
        weights = passes.weights(instructions, networks.parameters)
        changed = _filled(augmented(images, samples, **augmentations), computed) if augmentations else None
        read = _filled(samples, computed)

        def passed(of: slice, after: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
            """Gradients, statistics and losses of some of the networks, computed after those of others."""
            batches = _gathered(images, read[of], after) if changed is None else _batch_last(changed[of])
            maps, statistics = passes.forward(instructions, weights[of], batches)
            outputs = passes.outputs(instructions, maps)[:, :batch_size]
            output_gradients, loss = vmap(grad_and_value(mean_loss))(outputs, targets[samples[of]])
            output_gradients = nn.functional.pad(output_gradients, (0, 0, 0, computed - batch_size))
            flat = passes.backward(instructions, weights[of], batches, maps, statistics, output_gradients)
            return flat, statistics, loss

        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        all_together = [slice(len(samples))]
        grouped = _groups(n_networks, computed, instructions.size, torch.get_num_threads())
        for of in all_together if images.is_cuda else grouped:
            parts.append(passed(of, parts[-1][0] if parts else None))
        flat, statistics, loss = (torch.cat(part) for part in zip(*parts, strict=True))
        gradients = passes.by_name(instructions, flat, networks.parameters)
        buffers = _running(instructions, momenta, networks.buffers, statistics, batch_size)
        parameters, optimizer_state = updated(networks.parameters, gradients, networks.optimizer_state, hyperparameters)
        return NetworkState(parameters, buffers, optimizer_state), loss

    return step


def _groups(n_networks: int, n_samples: int, size: int, threads: int = 1) -> list[slice]:
    """The networks of a pack that go forward and backward together: as many as the caches hold the maps of."""
    held = threads * max(1, _CACHE // (size * n_samples * torch.float32.itemsize))
    at_once = math.ceil(n_networks / min(_MOST_GROUPS, math.ceil(n_networks / held)))
    return [slice(first, min(first + at_once, n_networks)) for first in range(0, n_networks, at_once)]


def _computed(made: Program, batch_size: int) -> int:
    """Samples that the kernels of a CPU compute for a batch; 0: the stacked step takes it.

    Batches are filled up to whole vectors with samples of their own, whose gradients are 0. A BatchNorm would measure
    these too, and of a batch smaller than a vector most would be such.
    """
    computed = math.ceil(batch_size / operators.SAMPLES) * operators.SAMPLES
    fills = computed == batch_size or (not made.norms and batch_size > operators.SAMPLES)
    return computed if fills else 0


def _filled(batches: Tensor, samples: int) -> Tensor:
    """Batches ``[K, N, ...]``, filled up with their first samples."""
    missing = samples - batches.shape[1]
    return torch.cat([batches, batches[:, :missing]], dim=1) if missing else batches


def _gathered(images: Tensor, samples: Tensor, after: Tensor | None) -> Tensor:
    """Every network's own images ``[K, N, C, H, W]``, on a CPU with the batch last in memory."""
    return images[samples] if images.is_cuda else operators.gather(images, samples, after)


def _batch_last(batches: Tensor) -> Tensor:
    """The same images, on a CPU with the batch last in memory."""
    return batches if batches.is_cuda else batches.permute(0, 3, 4, 2, 1).contiguous().permute(0, 4, 3, 1, 2)


def _running(made: Program, momenta: dict[str, float], buffers: State, statistics: Tensor, samples: int) -> State:
    """The running statistics after the step, as `FunctionalBatchNorm.keep` has them."""
    new = dict(buffers)
    sizes = [buffers[f"{name}.running_mean"].shape[1] for name in made.norms]
    means, variances = (statistics[:, row].split(sizes, dim=1) for row in (0, 1))
    for name, pixels, mean, variance in zip(made.norms, made.norm_pixels, means, variances, strict=True):
        count = samples * pixels
        unbiased = variance * (count / max(count - 1, 1))
        for kind, value in (("mean", mean), ("var", unbiased)):
            old = buffers[f"{name}.running_{kind}"]
            new[f"{name}.running_{kind}"] = old + momenta[name] * (value - old)
    return new
