"""The step of small networks by our own kernels: a pack's forward pass is one call, and so is its backward pass."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

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
from gengap.engine.stack import Architecture
from gengap.studies.settings import Cell
from gengap.training.augmentation import augmented
from gengap.training.joined_step import ALL, JoinedStep, Layout
from gengap.training.step import NetworkState, Step, StepInputs, Update, make_step, output_gradients_and_loss, update

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
    found = _parts(arch, cell, image_shape)
    if found is None:
        return None
    made, layout, norms, gradients_of, updated, stacked = found

    def step(
        networks: NetworkState, images: Tensor, targets: Tensor, inputs: StepInputs
    ) -> tuple[NetworkState, Tensor]:
        if not _supported(made, images, inputs):
            return stacked(networks, images, targets, inputs)
        weights = passes.joined(made, networks.parameters)
        flat, statistics, loss = gradients_of(weights, images, targets, inputs)
        gradients = layout.split_weights(flat)
        buffers = dict(networks.buffers)
        if norms:
            before = layout.joined_statistics(buffers)
            after = _running(norms, before, statistics, inputs.samples.shape[1])
            buffers |= layout.split_statistics(after)
        parameters, optimizer_state = updated(
            networks.parameters, gradients, networks.optimizer_state, inputs.hyperparameters
        )
        return NetworkState(parameters, buffers, optimizer_state), loss

    return step


def make_joined_step(arch: Architecture, cell: Cell, image_shape: tuple[int, int, int]) -> JoinedStep | None:
    """`make_fused_step` on joined tensors; see `gengap.training.joined_step.can_join`.

    Args:
        arch: Of the networks.
        cell: Any cell of the pack.
        image_shape: ``(channels, height, width)``.
    """
    found = _parts(arch, cell, image_shape)
    if found is None:
        return None
    made, layout, norms, gradients_of, updated, stacked = found

    def step(
        networks: NetworkState, images: Tensor, targets: Tensor, inputs: StepInputs
    ) -> tuple[NetworkState, Tensor]:
        if not _supported(made, images, inputs):
            moved, loss = stacked(layout.split(networks), images, targets, inputs)
            return layout.join(moved), loss
        flat, statistics, loss = gradients_of(networks.parameters[ALL], images, targets, inputs)
        buffers = dict(networks.buffers)
        if norms:
            buffers[ALL] = _running(norms, buffers[ALL], statistics, inputs.samples.shape[1])
        parameters, optimizer_state = updated(
            networks.parameters, {ALL: flat}, networks.optimizer_state, inputs.hyperparameters
        )
        return NetworkState(parameters, buffers, optimizer_state), loss

    return JoinedStep(step, layout)


class _Norm(NamedTuple):
    """What the running statistics of a BatchNorm follow from.

    Attributes:
        pixels: Of the map that it normalises.
        momentum: Its own.
        n_features: Channels of that map.
    """

    pixels: int
    momentum: float
    n_features: int


_Gradients = Callable[[Tensor, Tensor, Tensor, StepInputs], tuple[Tensor, ...]]


class _Parts(NamedTuple):
    """What a step is put together from."""

    program: Program
    layout: Layout
    norms: list[_Norm]
    gradients: _Gradients
    update: Update
    stacked: Step


def _parts(arch: Architecture, cell: Cell, image_shape: tuple[int, int, int]) -> _Parts | None:
    made = _program(arch, cell, image_shape)
    if made is None:
        return None
    layout = Layout(arch, made)
    norms = _norms(arch, made, layout)
    return _Parts(made, layout, norms, _gradients(made, cell), update(arch, cell), make_step(arch, cell))


def _supported(made: Program, images: Tensor, inputs: StepInputs) -> bool:
    """Whether the kernels can take these batches."""
    batch_size = inputs.samples.shape[1]
    computed = batch_size if images.is_cuda else _computed(made, batch_size)
    return computed > 0 and passes.supports(made, images, computed)


def _gradients(made: Program, cell: Cell) -> _Gradients:
    """From weights ``[K, n_weights]`` and what a step reads to gradients, BatchNorm's statistics and losses."""
    sample_losses = losses.sample_losses(cell.loss)

    def mean_loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return sample_losses(outputs, targets).mean()

    def of_outputs(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of the outputs ``[K, B, n_outputs]``, and the mean losses ``[K]``."""
        if outputs.is_cuda:  # what PyTorch compiles, also with kernels of a GPU
            found: tuple[Tensor, Tensor] = vmap(grad_and_value(mean_loss))(outputs, targets)
            return found
        return output_gradients_and_loss(sample_losses, outputs, targets)

    def gradients(weights: Tensor, images: Tensor, targets: Tensor, inputs: StepInputs) -> tuple[Tensor, ...]:
        samples, _, augmentations, _ = inputs
        n_networks, batch_size = samples.shape
        computed = batch_size if images.is_cuda else _computed(made, batch_size)
        changed = _filled(augmented(images, samples, **augmentations), computed) if augmentations else None
        read = _filled(samples, computed)

        def passed(of: slice, after: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
            """Gradients, statistics and losses of some of the networks, computed after those of others."""
            batches = _gathered(images, read[of], after) if changed is None else _batch_last(changed[of])
            maps, statistics = passes.forward(made, weights[of], batches)
            outputs = passes.outputs(made, maps)[:, :batch_size]
            output_gradients, loss = of_outputs(outputs, targets[samples[of]])
            output_gradients = nn.functional.pad(output_gradients, (0, 0, 0, computed - batch_size))
            flat = passes.backward(made, weights[of], batches, maps, statistics, output_gradients)
            return flat, statistics, loss

        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        if images.is_cuda:
            taken = [slice(len(samples))]
        else:
            taken = _groups(n_networks, computed, made.size, torch.get_num_threads())
        for of in taken:
            parts.append(passed(of, parts[-1][0] if parts else None))
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))

    return gradients


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


def _norms(arch: Architecture, made: Program, layout: Layout) -> list[_Norm]:
    modules = [arch.training.get_submodule(name) for name in made.norms]
    assert all(isinstance(module, FunctionalBatchNorm) for module in modules)
    momenta = [float(module.momentum) for module in modules]  # type: ignore[arg-type]
    return list(map(_Norm, made.norm_pixels, momenta, layout.n_features))


def _running(norms: Sequence[_Norm], old: Tensor, measured: Tensor, samples: int) -> Tensor:
    """Running means and variances ``[K, 2, n_features]`` after the step, as `FunctionalBatchNorm.keep` has them."""
    parts, first = [], 0
    # Layers that follow one another have maps of one size: few operations.
    for (pixels, momentum), alike in itertools.groupby(norms, key=lambda norm: norm[:2]):
        here = slice(first, first := first + sum(norm.n_features for norm in alike))
        count = samples * pixels
        means, variances = measured[:, :, here].unbind(dim=1)
        value = torch.stack([means, variances * (count / max(count - 1, 1))], dim=1)
        parts.append(old[:, :, here] + momentum * (value - old[:, :, here]))
    return torch.cat(parts, dim=2)
