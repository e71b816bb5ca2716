"""A training step recorded once as a CUDA graph and replayed: its kernels are then launched all at once.

A step of small networks, and of deep ones in small batches, is otherwise bound by the time to launch its kernels.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from gengap.logs import log
from gengap.training import tensor_tree
from gengap.training.step import NetworkState, Step, StepInputs

WARM_UP = 3  # calls before recording, in which libraries choose their kernels and take their memory

Run = Callable[[], None]


def recorded(run: Run) -> Run:
    """Record a function of tensors at fixed addresses as a CUDA graph; calling the result repeats it."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # A DataLoader's thread may pin memory meanwhile, which the default mode takes for a mistake of the recording.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        run()
    replay: Run = graph.replay
    return replay


class Replayed:
    """A `Step` that is recorded at its first call, and again when the shapes change.

    It owns the tensors of the networks: what it returns is overwritten by the next call. Given back to it they are not
    copied, and neither is anything else that was given to the call before.

    Args:
        step: The step.
        record: Records a function, as `recorded` does.
    """

    def __init__(self, step: Step, record: Callable[[Run], Run] = recorded) -> None:
        self._step = step
        self._record = record
        self._replay: Run | None = None
        self._data: tuple[Tensor, Tensor] | None = None
        self._form: Any = None
        self._own: list[Tensor] = []
        self._last: list[Tensor] = []
        self._outcome: Any = None
        self._works = True

    def __call__(
        self, networks: NetworkState, images: Tensor, targets: Tensor, inputs: StepInputs
    ) -> tuple[NetworkState, Tensor]:
        """See `gengap.training.step.make_step`."""
        resident = self._data is None or (self._data[0] is images and self._data[1] is targets)
        given, form = pytree.tree_flatten((networks, inputs))
        known = form == self._form and [value.shape for value in given] == [own.shape for own in self._own]
        if self._works and resident and not known:
            self._prepare(given, form, images, targets)
        if not self._works or not resident or self._replay is None:
            return self._step(networks, images, targets, inputs)
        for own, value, last in zip(self._own, given, self._last, strict=True):
            if value is not own and value is not last:
                own.copy_(value)
        # The networks' own tensors change with every call, so that only what they are given back as is remembered.
        n_state = len(pytree.tree_leaves(networks))
        self._last = self._own[:n_state] + given[n_state:]
        self._replay()
        result: tuple[NetworkState, Tensor] = self._outcome
        return result

    def _prepare(self, given: list[Tensor], form: Any, images: Tensor, targets: Tensor) -> None:
        """Take copies of the tensors, and record a step that reads and overwrites them."""
        self._replay, self._outcome = None, None  # frees the memory of what was recorded before
        self._data, self._form = (images, targets), form
        self._own = self._last = [value.clone() for value in given]
        networks, inputs = pytree.tree_unflatten(self._own, form)

        def run() -> None:
            new, loss = self._step(networks, images, targets, inputs)
            tensor_tree.write(networks, new)
            self._outcome = networks, loss

        try:
            self._replay = self._record(run)
        except RuntimeError as error:  # also when memory runs out
            self._works, self._replay, self._own, self._last = False, None, [], []
            log.warning("training runs without CUDA graphs, since recording one failed: %s", str(error).split("\n")[0])
