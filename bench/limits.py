"""What a chip can do at its best, measured, and what a network's training asks of it: the larger share is its limit."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench import peers

PASSES = 3  # forward, backward to the maps, backward to the weights


@dataclass(frozen=True)
class Demand:
    """What training asks for one sample.

    Attributes:
        operations: Floating-point operations of convolutions and matrix products, forward and backward.
        map_elements: Elements of the images and of what every convolution and linear layer puts out.
    """

    operations: float
    map_elements: float


def demand(net: nn.Module, image_shape: tuple[int, int, int]) -> Demand:
    """What training a network asks for one sample.

    Args:
        net: On the meta device, so that nothing is computed.
        image_shape: ``(channels, height, width)``.
    """
    batch_size, elements = 4, []

    def count(_layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        elements.append(output.numel() / batch_size)

    images = torch.zeros(batch_size, *image_shape, device="meta")
    layers = [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    handles = [layer.register_forward_hook(count) for layer in layers]
    with FlopCounterMode(display=False) as counter:
        net(images).sum().backward()
    for handle in handles:
        handle.remove()
    return Demand(counter.get_total_flops() / batch_size, sum(elements) + images[0].numel())


def limit(asked: Demand, device: str, dtype: torch.dtype, *, toy: bool = False) -> tuple[str, Callable[[], float]]:
    """The bound on training's rate that binds: its name, and what measures it [samples/s].

    Arithmetic: all products at the rate of a large product of square matrices. Memory: every map goes through memory
    once per pass, at the rate of a large copy, and nothing else does.

    Args:
        asked: By one sample.
        device: The chip.
        dtype: Of products and maps.
        toy: Tiny sizes, which show only that it runs.
    """
    product, copy = matrix_rate(device, 64 if toy else 8192, dtype), copy_rate(device, 2**16 if toy else 2**30)
    n_bytes = PASSES * asked.map_elements * dtype.itemsize
    bounds: dict[str, Callable[[], float]] = {
        "arithmetic": lambda: product() / asked.operations,
        "memory": lambda: copy() / n_bytes,
    }
    name = min(bounds, key=lambda name: bounds[name]())
    return f"limit of the chip: {name} ({str(dtype).removeprefix('torch.')})", bounds[name]


def matrix_rate(device: str, size: int, dtype: torch.dtype) -> Callable[[], float]:
    """The rate of a large product of square matrices [FLOP/s]: what the chip's arithmetic can do at its best."""
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return _rate(lambda: one @ other, 2 * size**3, device)


def copy_rate(device: str, n_bytes: int) -> Callable[[], float]:
    """The rate of a large copy [bytes/s], counting what is read and what is written."""
    source = torch.zeros(n_bytes, dtype=torch.uint8, device=device)
    return _rate(lambda: source.clone(), 2 * n_bytes, device)


def _rate(run: Callable[[], Tensor], work: float, device: str, repeats: int = 20) -> Callable[[], float]:
    def measured() -> float:
        run()
        peers.wait(device)
        begin = time.perf_counter()
        for _ in range(repeats):
            run()
        peers.wait(device)
        return repeats * work / (time.perf_counter() - begin)

    return measured
