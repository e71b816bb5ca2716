"""Exact BatchNorm statistics of small networks by our own kernels: a pass over all images per depth of the network."""

import functools

import torch
from torch import Tensor

from gengap.engine.cpu import execution, operators
from gengap.engine.cpu.program import Program, program
from gengap.engine.graph.network_graph import shaped
from gengap.engine.layers.batchnorm import FunctionalBatchNorm
from gengap.engine.stack import Architecture, State


def measured_statistics(
    arch: Architecture, state: State, images: Tensor, *, outputs: bool = False
) -> tuple[State, Tensor | None] | None:
    """BatchNorm means and biased variances of every layer over all images; None where the kernels cannot compute them.

    Args:
        arch: The architecture.
        state: Stacked state ``[K, ...]``.
        images: ``[N, C, H, W]``.
        outputs: Whether to give the outputs on these images as well.

    Returns:
        The buffers ``[K, features]``, and the outputs ``[K, N, n_outputs]`` if they are asked for and can be given.
    """
    if not operators.supports(images):
        return None
    measuring, eps = _measuring(arch, (images.shape[1], images.shape[2], images.shape[3]))
    if measuring is None or not execution.fits(measuring, images):
        return None
    state = dict(state)
    norms = {*measuring.norms, *(norm.norm for norm in measuring.patch_norms)}
    for name in {*measuring.layers, *norms}:
        like = state[f"{name}.running_var"] if name in norms else state[f"{name}.weight"]
        state.setdefault(f"{name}.weight", torch.ones_like(like))
        state.setdefault(f"{name}.bias", like.new_zeros(like.shape[:2]))
    buffers, result = execution.statistics(measuring, state, images, eps, outputs=outputs)
    return {name: buffers.get(name, state[name]) for name in arch.buffers}, result


@functools.lru_cache(maxsize=8)
def _measuring(arch: Architecture, image_shape: tuple[int, int, int]) -> tuple[Program | None, float]:
    """The program that measures, and BatchNorm's epsilon; None if the kernels cannot, or epsilons differ."""
    epsilons = {layer.eps for layer in arch.evaluation.modules() if isinstance(layer, FunctionalBatchNorm)}
    if len(epsilons) != 1:
        return None, 0.0
    traced = shaped(arch.evaluation, image_shape)
    return (None if traced is None else program(traced, measures=True)), float(epsilons.pop())
