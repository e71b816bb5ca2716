"""The step of large networks: one after another, each as an ordinary module.

`vmap` gives a convolution a dimension more: it becomes a grouped one, which cuDNN computes group by group and the
compiler does not lay out channels last. Small networks gain more by running together than they lose by that; a network
that fills a GPU alone only loses. So its step has no `vmap`: convolutions of ``[B, C, H, W]``, channels last, compiled
once for one network whatever the size of the pack, and all networks of a pack recorded as one CUDA graph.

Which step a network takes depends on its own size, not on its pack, so that neither do its bits.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import grad_and_value
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import FlopCounterMode

from gengap.engine.stack import Architecture, State
from gengap.studies.settings import Cell
from gengap.training import patches, random_inputs
from gengap.training.augmentation import augmented
from gengap.training.step import NetworkState, Step, StepInputs, mean_loss, update

# Operations of a forward pass from which one network's step counts as filling a GPU. Three such passes take an H100
# about as long (0.2 ms at half of its float32 rate) as a CUDA graph takes to launch the few hundred kernels of a step.
# An estimate from data sheets; `python -m bench.gpu --part networks` measures both steps.
FILLS = 2e9


def fills(arch: Architecture, batch_size: int, image_shape: tuple[int, int, int], device: torch.device) -> bool:
    """Whether one network alone fills the device, so that running several together gains nothing.

    A function of sizes only: a measured time would let noise decide the last bits of a result. On a CPU never, where
    our own kernels are made for stacks.

    Args:
        arch: The network's architecture.
        batch_size: Samples per step.
        image_shape: ``(channels, height, width)``.
        device: Where it is trained.
    """
    return device.type == "cuda" and forward_operations(arch, image_shape) * batch_size >= FILLS


def forward_operations(arch: Architecture, image_shape: tuple[int, int, int]) -> float:
    """Floating-point operations of the convolutions and matrix products of one image's forward pass."""
    images = 2
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        arch.evaluation(torch.zeros(images, *image_shape, device="meta"))
    return float(counter.get_total_flops()) / images


def make_plain_step(arch: Architecture, cell: Cell, *, streams: int = 1) -> "OneByOne":
    """The same step as `gengap.training.step.make_step`, up to rounding, of networks one by one.

    Args:
        arch: Their architecture.
        cell: Any cell of the pack: loss, kind of optimiser, augmentation, noise and precision are shared.
        streams: CUDA streams that the networks take turns on; with several, kernels of one network may fill what those
            of another leave idle, and the memory of as many steps is taken at once.
    """
    differentiated = grad_and_value(mean_loss(arch, cell, random_inputs.network(arch, cell)), has_aux=True)
    updated = update(arch, cell)

    def of_one(
        networks: NetworkState, images: Tensor, targets: Tensor, inputs: StepInputs
    ) -> tuple[NetworkState, Tensor]:
        samples, hyperparameters, augmentations, drawn = inputs
        batch = augmented(images, samples, **augmentations) if augmentations else images[samples]
        parameters, buffers, drawn = (_alone(state) for state in (networks.parameters, networks.buffers, drawn))
        gradients, (loss, buffers) = differentiated(
            {name: _channels_last(value) for name, value in parameters.items()},
            buffers,
            drawn,
            _channels_last(batch[0]),
            targets[samples[0]],
        )
        moved, optimizer_state = updated(
            networks.parameters, _stack_of_one(gradients), networks.optimizer_state, hyperparameters
        )
        return NetworkState(moved, _stack_of_one(buffers), optimizer_state), loss[None]

    return OneByOne(of_one, streams)


@dataclass(frozen=True)
class OneByOne:
    """A `Step` of a stack that takes the step of a stack of one for every network.

    Attributes:
        of_one: The step of a stack of one.
        streams: See `make_plain_step`.
    """

    of_one: Step
    streams: int = 1

    def compiled(self, compiler: Callable[[Step], Step]) -> "OneByOne":
        """The same with the step of one network compiled, once for all networks and packs of any size."""
        return replace(self, of_one=compiler(self.of_one))

    def __call__(
        self, networks: NetworkState, images: Tensor, targets: Tensor, inputs: StepInputs
    ) -> tuple[NetworkState, Tensor]:
        """See `gengap.training.step.make_step`."""
        count = len(inputs.samples)
        if count == 1:
            return self.of_one(networks, images, targets, inputs)
        results = []
        with _turns(images.device, min(self.streams, count)) as turn:
            for slot in range(count):
                with turn(slot):
                    results.append(self.of_one(_taken(networks, slot), images, targets, _inputs_of(inputs, slot)))
        joined: tuple[NetworkState, Tensor] = pytree.tree_map(lambda *values: torch.cat(values), *results)
        return joined


@contextlib.contextmanager
def _turns(device: torch.device, count: int) -> Iterator[Callable[[int], contextlib.AbstractContextManager[Any]]]:
    """What gives every slot its stream, of which there are `count`; when the context ends, the present one waits."""
    if device.type != "cuda" or count == 1:
        yield lambda slot: contextlib.nullcontext()
        return
    here, streams = torch.cuda.current_stream(device), _streams(device, count)
    for stream in streams:
        stream.wait_stream(here)
    yield lambda slot: torch.cuda.stream(streams[slot % count])
    for stream in streams:
        here.wait_stream(stream)


@functools.cache  # the same in every step, or each would take memory of its own
def _streams(device: torch.device, count: int) -> list[torch.cuda.Stream]:
    return [torch.cuda.Stream(device) for _ in range(count)]


def _taken(networks: NetworkState, slot: int) -> NetworkState:
    """One network as a stack of one; views."""
    taken: NetworkState = pytree.tree_map(lambda value: value[slot : slot + 1], networks)
    return taken


def _inputs_of(inputs: StepInputs, slot: int) -> StepInputs:
    """What one network's step reads; all but the patches that networks share are its own."""
    own = {name: value for name, value in inputs.augmentations.items() if name not in patches.SHARED}
    given: StepInputs = pytree.tree_map(lambda value: value[slot : slot + 1], inputs._replace(augmentations=own))
    return given._replace(augmentations={**inputs.augmentations, **given.augmentations})


def _alone(state: Mapping[str, Tensor]) -> State:
    """The state of the only network of a stack."""
    return {name: value[0] for name, value in state.items()}


def _stack_of_one(state: Mapping[str, Tensor]) -> State:
    return {name: value[None] for name, value in state.items()}


def _channels_last(value: Tensor) -> Tensor:
    """Images or kernels with their channels last in memory, as a GPU's matrix units read them; others as they are."""
    return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
