"""Losses and predictions over whole sets, in a stated BatchNorm mode."""

import functools

import torch
from torch import Tensor
from torch.func import vmap

from gengap import losses
from gengap.engine.cpu import execution, operators, sparse
from gengap.engine.cpu.exact_batchnorm import measured_statistics
from gengap.engine.evaluation import exact_batchnorm_one_pass
from gengap.engine.evaluation.exact_batchnorm_one_pass import one_pass
from gengap.engine.evaluation.exact_batchnorm_streaming import streamed_statistics, too_large
from gengap.engine.evaluation.inference import inference
from gengap.engine.groups import groups, networks_per_call, slices
from gengap.engine.stack import Architecture, State, concatenate, outputs, outputs_and_buffers, take
from gengap.studies.settings import Loss

_OUTPUTS_AT_ONCE = 2**18


def for_mode(arch: Architecture, state: State, images: Tensor, mode: str) -> State:
    """The state whose running statistics are those of the mode.

    Args:
        arch: The architecture.
        state: Stacked state ``[K, ...]``.
        images: The whole training set ``[N, C, H, W]``; read in mode ``exact``.
        mode: ``running`` and ``batch`` return the state itself, ``exact`` one with the whole set's statistics.
    """
    if mode != "exact" or not arch.buffers:
        return state
    return {**state, **exact_statistics(arch, state, images)}


@torch.no_grad()
def exact_statistics(arch: Architecture, state: State, images: Tensor) -> State:
    """BatchNorm means and biased variances of every layer over all images as one batch.

    Where one batch would take too much memory, layer by layer; see `exact_batchnorm_one_pass` and
    `exact_batchnorm_streaming`.

    Returns:
        The buffers ``[K, features]``.
    """
    if (measured := measured_statistics(arch, state, images)) is not None:
        return measured[0]
    if too_large(arch, images):
        whole = exact_batchnorm_one_pass.fits(arch, images)
        return one_pass(arch, state, images)[0] if whole else streamed_statistics(arch, state, images)
    call = vmap(functools.partial(outputs_and_buffers, arch, arch.statistics), in_dims=(0, None))
    parts = [call(part, images)[1] for part in groups(state, images, len(images))]
    return concatenate(parts)


@torch.no_grad()
def training_outputs(arch: Architecture, state: State, images: Tensor, mode: str) -> tuple[State, Tensor]:
    """The state made for the mode, and its outputs on the training images: both in fewer passes where that can be.

    Equal to `for_mode` and `all_outputs` up to rounding.

    Args:
        arch: The architecture.
        state: Stacked state ``[K, ...]``.
        images: The whole training set ``[N, C, H, W]``.
        mode: As in `for_mode`.

    Returns:
        The state, and outputs ``[K, N, n_outputs]``.
    """
    measured = measured_statistics(arch, state, images, outputs=True) if mode == "exact" and arch.buffers else None
    if measured is not None and measured[1] is not None:
        return {**state, **measured[0]}, measured[1]
    if mode == "exact" and arch.buffers and too_large(arch, images) and exact_batchnorm_one_pass.fits(arch, images):
        buffers, outputs_there = one_pass(arch, state, images)
        return {**state, **buffers}, outputs_there
    ready = for_mode(arch, state, images, mode)
    return ready, all_outputs(arch, ready, images, mode, together=True)


@torch.no_grad()
def all_outputs(
    arch: Architecture, state: State, images: Tensor, mode: str, batch_size: int = 1000, *, together: bool = False
) -> Tensor:
    """Outputs of every network on every image.

    Args:
        arch: The architecture.
        state: Stacked state, already made for the mode by `for_mode`.
        images: ``[N, C, H, W]``.
        mode: ``batch`` normalises each run of `batch_size` images by itself; the others use the state's statistics.
        batch_size: Images per call.
        together: Run as many small networks per call as a processor's cache holds: up to three times as fast for the
            smallest, but the last bits may then depend on which networks share a call.

    Returns:
        ``[K, N, n_outputs]``.
    """
    if mode == "batch":
        return _normalised_outputs(arch, state, images, batch_size)
    pruned = sparse.mostly_pruned(arch, state, images)
    if len(pruned) and pruned.all():
        return sparse.outputs(arch, state, images)
    if pruned.any():
        parts = [which.nonzero()[:, 0] for which in (pruned, ~pruned)]
        both = [all_outputs(arch, take(state, part), images, mode, batch_size, together=together) for part in parts]
        return torch.cat(both)[torch.cat(parts).argsort()]
    network = inference(arch, (images.shape[1], images.shape[2], images.shape[3]))
    if network.program is not None and operators.supports(images):
        return execution.outputs(network.program, network.fold_for_program(state), images)
    folded = network.fold(state)
    alone = images.device.type == "cpu" and not together
    count = 1 if alone else networks_per_call(network.largest_map * batch_size, images.device)
    parts = [
        torch.cat([outputs(network.network, part, batch) for batch in images.split(batch_size)], dim=1)
        for part in slices(folded, count)
    ]
    return torch.cat(parts)


def _normalised_outputs(arch: Architecture, state: State, images: Tensor, batch_size: int) -> Tensor:
    """Outputs with each batch's own statistics."""
    batches = list(images.split(batch_size))
    # A last batch of one image has no variance; it joins the one before.
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    call = vmap(functools.partial(outputs_and_buffers, arch, arch.batch), in_dims=(0, None))
    parts = [torch.cat([call(part, x)[0] for x in batches], dim=1) for part in groups(state, images, batch_size)]
    return torch.cat(parts)


def performance(outputs: Tensor, targets: Tensor, settings: Loss) -> dict[str, Tensor]:
    """Mean loss, accuracy and balanced accuracy of each network.

    Args:
        outputs: ``[K, N, n_outputs]``.
        targets: As the loss wants them; every class present counts the same in the balanced accuracy.
        settings: The loss.

    Returns:
        ``loss``, ``accuracy``, ``balanced_accuracy`` and ``spread`` (largest minus smallest output), float64 ``[K]``.
        A network whose spread is 0 ignores its input: its last hidden layer is dead.
    """
    # Some networks at a time: what they take fits a cache, and the system need not find memory for it again and again.
    at_once = max(1, _OUTPUTS_AT_ONCE // outputs[0].numel())
    classes = losses.classes(targets)
    members = (classes[:, None] == classes.unique()).double()
    parts = [_performance(part, targets, members, settings) for part in outputs.split(at_once)]
    return concatenate(parts)


def _performance(outputs: Tensor, targets: Tensor, members: Tensor, settings: Loss) -> dict[str, Tensor]:
    """As `performance`; `members` is 1 where a sample ``[N, classes]`` is of a class, else 0."""
    sample_losses = vmap(losses.sample_losses(settings), in_dims=(0, None))(outputs.double(), targets)
    correct = vmap(losses.correct(settings), in_dims=(0, None))(outputs, targets).double()
    return {
        "loss": sample_losses.mean(dim=1),
        "accuracy": correct.mean(dim=1),
        "balanced_accuracy": (correct @ members / members.sum(dim=0)).mean(dim=1),
        "spread": (outputs.amax(dim=1) - outputs.amin(dim=1)).amax(dim=1).double(),
    }
