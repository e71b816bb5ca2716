"""Exact BatchNorm statistics of small networks by our own kernels: a pass over all images per depth of the network."""

import functools

import torch
from torch import Tensor, fx
from torch.fx.passes.shape_prop import ShapeProp

from gengap.engine import program
from gengap.engine.batchnorm import FunctionalBatchNorm
from gengap.engine.inference import trace
from gengap.engine.kernels import library
from gengap.engine.stack import Architecture, State


def measured_statistics(arch: Architecture, state: State, images: Tensor) -> State | None:
    """BatchNorm means and biased variances of every layer over all images; None where the kernels cannot find them.

    Args:
        arch: The architecture.
        state: Stacked state ``[K, ...]``.
        images: ``[N, C, H, W]``.

    Returns:
        The buffers ``[K, features]``.
    """
    if not library.runs(images):
        return None
    made, eps = _measuring(arch, (images.shape[1], images.shape[2], images.shape[3]))
    if made is None or not program.fits(made, images):
        return None
    state = dict(state)
    for name in made.layers:
        like = state[f"{name}.running_var"] if name in made.norms else state[f"{name}.weight"]
        state.setdefault(f"{name}.weight", torch.ones_like(like))
        state.setdefault(f"{name}.bias", like.new_zeros(like.shape[:2]))
    found = program.statistics(made, state, images, eps)
    return {name: found[name] for name in arch.buffers}


@functools.lru_cache(maxsize=8)
def _measuring(arch: Architecture, image_shape: tuple[int, int, int]) -> tuple[program.Program | None, float]:
    """The program that measures, and what is added to every variance."""
    epsilons = {layer.eps for layer in arch.evaluation.modules() if isinstance(layer, FunctionalBatchNorm)}
    if len(epsilons) != 1:
        return None, 0.0
    try:
        traced = trace(arch.evaluation)
    except (fx.proxy.TraceError, TypeError):  # its forward pass depends on its numbers
        return None, 0.0
    ShapeProp(traced.to_empty(device="cpu")).propagate(torch.zeros(2, *image_shape))
    return program.program(traced, measures=True), epsilons.pop()
