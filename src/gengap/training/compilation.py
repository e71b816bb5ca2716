"""Compiling a step, and recording it as a CUDA graph."""

import functools
import logging
import operator
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from gengap.logs import log
from gengap.training import tensor_tree
from gengap.training.cuda_graph import Replayed
from gengap.training.joined_step import JoinedStep, update_in_place
from gengap.training.memory_budget import out_of_memory
from gengap.training.plain_step import OneByOne
from gengap.training.step import Step


def recorded(step: Step, device: torch.device) -> Step:
    """An uncompiled step as the device runs it fastest: a GPU replays it as a CUDA graph."""
    return Replayed(step) if device.type == "cuda" else step


def compiled(step: Step, device: torch.device) -> Step:
    """Compile the step for one fixed shape; without a compiler, say so and return it as it is.

    On a GPU the compiler lays out large convolutions channels last, and the compiled step is replayed as a CUDA graph.
    """
    if device.type == "cpu" and not any(shutil.which(name) for name in ("g++", "clang++")):
        log.warning("no C++ compiler was found, so training runs uncompiled, 2 to 5 times slower: install g++")
        return step
    # PyTorch says here that there is no GPU, which is no news to who trains on the CPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*TensorFloat32.*")
    if device.type == "cuda":
        compiler = functools.partial(torch.compile, dynamic=False)
        return Replayed(step.compiled(compiler) if isinstance(step, OneByOne) else compiler(step))
    if isinstance(step, JoinedStep):
        return step.prepared(Traced)
    return step.compiled(Traced) if isinstance(step, OneByOne) else Owner(step)


class Owner:
    """A `Step` that is compiled to change the networks in place, so that a call takes no memory for them.

    It owns their tensors: what it returns is overwritten by the next call. What it is given is copied, unless it is
    what it has returned.
    """

    def __init__(self, step: Step) -> None:
        self._update = Traced(functools.partial(update_in_place, step))
        self._networks: Any = None
        self._own: list[Tensor] = []

    def __call__(self, networks: Any, *others: Any) -> tuple[Any, Tensor]:
        """See `gengap.training.step.make_step`."""
        given = tensor_tree.leaves(networks)
        back = len(given) == len(self._own) and all(map(operator.is_, given, self._own))
        if not back:
            self._own = [value.clone() for value in given]
            self._networks = tensor_tree.filled(tensor_tree.form(networks), iter(self._own))
        (loss,) = self._update(self._networks, *others)
        return self._networks, loss


class Traced:
    """A function of trees of tensors that is traced to a graph, which is then compiled, for every set of layouts.

    `torch.compile` alone cannot follow `vmap` into the derivatives of our own kernels. The graph takes and gives plain
    tensors and goes to the compiler directly: through `torch.compile`, every call would check a hundred tensors first,
    0.2 to 0.4 ms. If the compiler fails, for any reason, the function runs as it is, and the log says so once.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._compiled: dict[tuple[_Layouts, _Layouts], _Graph] = {}
        self._failed = False
        self._last: list[Tensor] = []  # the first argument of the last call
        self._last_layouts: _Layouts = ()

    def __call__(self, networks: Any, *others: Any) -> Any:
        """The function's results."""
        state, rest = tensor_tree.leaves(networks), tensor_tree.leaves(others)
        # Most often the networks are those of the last call, a hundred tensors whose layouts are known.
        if len(state) != len(self._last) or not all(map(operator.is_, state, self._last)):
            self._last, self._last_layouts = state, _layouts(state)
        layouts = self._last_layouts, _layouts(rest)
        graph = self._compiled.get(layouts)
        if graph is not None:
            return tensor_tree.filled(graph.form, iter(graph.run(*state, *rest)))
        if not self._failed:
            try:
                graph = _compiled_graph(self._function, (networks, *others))
                results = graph.run(*state, *rest)
            except Exception as error:  # of the compiler's many; a fault of the step itself shows when it runs below
                if out_of_memory(error):
                    raise
                self._failed = True
                log.warning("the step could not be compiled, so training runs uncompiled, slower: %s", _reason(error))
            else:
                self._compiled[layouts] = graph
                return tensor_tree.filled(graph.form, iter(results))
        return self._function(networks, *others)


_Layouts = tuple[tuple[torch.Size, tuple[int, ...]], ...]


def _layouts(tensors: list[Tensor]) -> _Layouts:
    return tuple((value.shape, value.stride()) for value in tensors)


@dataclass(frozen=True)
class _Graph:
    """A compiled function of the leaves of its arguments, and the form of its results."""

    run: Callable[..., list[Tensor]]
    form: Any


def _compiled_graph(function: Callable[..., Any], arguments: tuple[Any, ...]) -> _Graph:
    """The function compiled for the layouts of these arguments."""
    given, form_given, forms = tensor_tree.leaves(arguments), tensor_tree.form(arguments), []

    def flat(*leaves: Tensor) -> list[Tensor]:
        results = function(*tensor_tree.filled(form_given, iter(leaves)))
        forms.append(tensor_tree.form(results))
        return tensor_tree.leaves(results)

    # What is one tensor in the first call may be two in the next, and tracing would take them for one for ever.
    apart = [value.clone() if id(value) in map(id, given[:place]) else value for place, value in enumerate(given)]
    # Layouts are compared here; the compiler's own checks of every tensor take as long as a tenth of a short step.
    options = {"size_asserts": False, "alignment_asserts": False}
    run = torch._inductor.compile(make_fx(flat, tracing_mode="fake")(*apart), [*apart], options=options)
    return _Graph(run, forms[0])


def _reason(error: BaseException) -> str:
    """Why compiling failed, in one line: what PyTorch's exceptions wrap, and what to do."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    said = (error.stderr or error.output) if isinstance(error, subprocess.CalledProcessError) else None
    text = (said.decode(errors="replace") if isinstance(said, bytes) else said) or str(error)
    lines = [line for line in text.splitlines() if line.strip()] or [type(error).__name__]
    reason = next((line for line in lines if "error" in line.lower()), lines[0])
    folder = os.environ.get("TORCHINDUCTOR_CACHE_DIR") or tempfile.gettempdir()
    if "failed to map segment" in reason:
        reason = f"{folder} is mounted noexec"
    if isinstance(error, (OSError, ImportError, subprocess.CalledProcessError)):
        reason += (
            f". Set TMPDIR and TORCHINDUCTOR_CACHE_DIR, now {folder}, to folders that can be written and run from."
        )
    return reason
