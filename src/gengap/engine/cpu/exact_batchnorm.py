"""Exact BatchNorm statistics of small networks by our own kernels: a pass over all images per depth of the network."""

import functools

import torch
from torch import Tensor

from gengap.engine.cpu import execution, library
from gengap.engine.cpu.program import Program, program
from gengap.engine.graph.network_graph import shaped
from gengap.engine.layers.batchnorm import FunctionalBatchNorm
from gengap.engine.stack import Architecture, State


def measured_statistics(
    arch: Architecture, state: State, images: Tensor, *, outputs: bool = False
) -> tuple[State, Tensor | None] | None:
    """BatchNorm means and biased variances of every layer over all images; None where the kernels cannot find them.

    Args:
        arch: The architecture.
        state: Stacked state ``[K, ...]``.
        images: ``[N, C, H, W]``.
        outputs: Whether to give the outputs on these images as well.

    Returns:
        The buffers ``[K, features]``, and the outputs ``[K, N, n_outputs]`` if they are asked for and can be given.
    """
    if not library.runs(images):
        return None
    made, eps = _measuring(arch, (images.shape[1], images.shape[2], images.shape[3]))
    if made is None or not execution.fits(made, images):
        return None
    state = dict(state)
    norms = {*made.norms, *(known.norm for known in made.known)}
    for name in {*made.layers, *norms}:
        like = state[f"{name}.running_var"] if name in norms else state[f"{name}.weight"]
        state.setdefault(f"{name}.weight", torch.ones_like(like))
        state.setdefault(f"{name}.bias", like.new_zeros(like.shape[:2]))
    found, given = execution.statistics(made, state, images, eps, outputs=outputs)
    return {name: found.get(name, state[name]) for name in arch.buffers}, given


@functools.lru_cache(maxsize=8)
def _measuring(arch: Architecture, image_shape: tuple[int, int, int]) -> tuple[Program | None, float]:
    """The program that measures, and what is added to every variance."""
    epsilons = {layer.eps for layer in arch.evaluation.modules() if isinstance(layer, FunctionalBatchNorm)}
    if len(epsilons) != 1:
        return None, 0.0
    traced = shaped(arch.evaluation, image_shape)
    return (None if traced is None else program(traced, measures=True)), float(epsilons.pop())
