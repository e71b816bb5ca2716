"""Exact BatchNorm statistics of a training set too large to be one batch: one pass over the images per layer.

A layer's statistics are those of its inputs once every layer before it has its own. So the layers are taken in their
order: the images pass in batches up to the current layer, and its moments are combined over the batches. One batch of
all images would need 13 GB for each feature map of VGG-16 on CIFAR. For L layers this costs about L / 2 forward passes,
so networks whose maps fit (2^28 elements on a CPU, an eighth of a GPU's memory) keep the one batch.
"""

import contextlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gengap.engine.activations import visit
from gengap.engine.evaluation.inference import inference
from gengap.engine.layers.batchnorm import FunctionalBatchNorm
from gengap.engine.stack import Architecture, State, n_networks, network_state, stacked

BATCH_SIZE = 1000
# Elements of the largest map over all images up to which they are one batch: about 1 GB of float32 on a processor. A
# GPU holds more, but many of PyTorch's kernels count elements in 31 bits.
_CPU_ELEMENTS = 2**28
_GPU_ELEMENTS = 2**31 - 1
_GPU_SHARE = 8  # the map may take one part in so many of the GPU's memory: some of its size are there at a time


@dataclass
class Moments:
    """Mean and variance of values that come in parts, by the rule of Chan, Golub and LeVeque (1983), equation 1.5.

    Attributes:
        count: Values so far, per feature.
        mean: Their mean, float64 ``[features]``.
        squares: Sum of their squared distances from it.
    """

    count: int
    mean: Tensor
    squares: Tensor

    @classmethod
    def of(cls, x: Tensor) -> "Moments":
        """Moments of ``[N, features, ...]`` over all dimensions but the second."""
        count = x.numel() // x.shape[1]
        variance, mean = torch.var_mean(x.double(), dim=[0, *range(2, x.dim())], correction=0)
        return cls(count, mean, variance * count)

    def add(self, other: "Moments") -> None:
        """Join the moments of other values of the same features."""
        total = self.count + other.count
        apart = other.mean - self.mean
        self.squares = self.squares + other.squares + apart.square() * (self.count * other.count / total)
        self.mean = self.mean + apart * (other.count / total)
        self.count = total


def too_large(arch: Architecture, images: Tensor) -> bool:
    """Whether all images as one batch would take too much memory: a function of sizes and device only."""
    image_shape = (images.shape[1], images.shape[2], images.shape[3])
    largest = max(inference(arch, image_shape).largest_map, images[0].numel())
    most = _CPU_ELEMENTS
    if images.device.type == "cuda":
        memory = torch.cuda.get_device_properties(images.device).total_memory
        most = min(_GPU_ELEMENTS, memory // _GPU_SHARE // images.element_size())
    return len(images) * largest > most


@torch.no_grad()
def streamed_statistics(arch: Architecture, state: State, images: Tensor) -> State:
    """BatchNorm means and biased variances of every layer over all images, in the memory of one batch.

    Of L layers at equal distances the cost is about L / 2 forward passes over all images.

    Args:
        arch: The architecture.
        state: Stacked state ``[K, ...]``.
        images: ``[N, C, H, W]``.

    Returns:
        The buffers ``[K, features]``, up to rounding those of all images as one batch.
    """
    networks = (network_state(state, place) for place in range(n_networks(state)))
    return stacked([_buffers(arch, network, images) for network in networks])


def _buffers(arch: Architecture, state: State, images: Tensor) -> State:
    """The buffers of ONE network, its running statistics replaced layer by layer."""
    state, network = dict(state), arch.evaluation
    norms = [name for name, layer in network.named_modules() if isinstance(layer, FunctionalBatchNorm)]
    ordered: list[str] = []
    visit(network, norms, state, images[:2], lambda name, _: ordered.append(name))
    for name in ordered:
        moments = _inputs(network, name, state, images)
        dtype = state[f"{name}.running_var"].dtype
        state[f"{name}.running_mean"] = moments.mean.to(dtype)
        state[f"{name}.running_var"] = (moments.squares / moments.count).to(dtype)
    return {name: state[name] for name in arch.buffers}


class _ReachedError(Exception):
    """The pass has come to its layer: what comes after it need not be computed."""


def _inputs(network: nn.Module, name: str, state: State, images: Tensor) -> Moments:
    """Moments of one layer's inputs over all images."""
    parts: list[Moments] = []

    def stop(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        parts.append(Moments.of(inputs[0]))
        raise _ReachedError

    handle = network.get_submodule(name).register_forward_pre_hook(stop)
    try:
        for batch in images.split(BATCH_SIZE):
            with contextlib.suppress(_ReachedError):
                functional_call(network, state, (batch,))
    finally:
        handle.remove()
    total = parts[0]
    for part in parts[1:]:
        total.add(part)
    return total
