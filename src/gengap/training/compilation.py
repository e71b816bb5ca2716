"""Whether compiling the step pays, and compiling it."""

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
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from gengap.engine.layers.modules import input_shapes
from gengap.engine.stack import Architecture
from gengap.logs import log
from gengap.training import tensor_tree
from gengap.training.cuda_graph import Replayed
from gengap.training.memory_budget import out_of_memory
from gengap.training.plain_step import OneByOne
from gengap.training.step import Step

# Eager cost of one step, fitted on two CPU cores (Song's network, widths 4 to 64, packs of 3 to 64): a fixed cost
# for launching its operations, and a cost per sample that grows with the parameters and the image's area.
_LAUNCH_SECONDS = 6e-3
_SAMPLE_SECONDS = 5e-6
_PARAMETER_SECONDS = 5e-10
# What compiling saves of it: most of what operations cost, less of the products (`python -m bench.compilation`).
_SAVED, _SAVED_OF_PRODUCTS = 0.9, 0.25
_WORTH_SECONDS = 35.0  # compiling takes about 20 s
# The same of a fused step: it launches little, once and for every group of networks; an optimiser moves every number
# of the pack in a few operations; and products are as fast uncompiled. Compiling takes about 8 s.
_FUSED_LAUNCH_SECONDS, _GROUP_SECONDS, _UPDATE_SECONDS = 1.3e-3, 0.4e-3, 1.2e-8
_FUSED_SAMPLE_SECONDS, _FUSED_PARAMETER_SECONDS = 5e-7, 3.5e-10
_FUSED_WORTH_SECONDS = 16.0
# What compiling saves of a step that a GPU replays. Estimates: every layer's operations become about 20 kernels fewer,
# each of which takes 2 us even if it has nothing to do, and a layer's numbers go four times less through memory.
_KERNEL_SECONDS, _KERNELS_PER_LAYER = 2e-6, 20
_PASSES_SAVED = 4


def pays(
    arch: Architecture, *, n_networks: int, batch_size: int, n_steps: int, image_area: int, n_groups: int = 0
) -> bool:
    """Predict whether compiling would save enough of the time that `n_steps` eager steps take.

    A function of the sizes only: a measured time would let noise decide the last bits of a result.

    Args:
        arch: Of the networks.
        n_networks: That train together.
        batch_size: Samples per step.
        n_steps: That are left.
        image_area: Pixels of an image.
        n_groups: Of the fused step, `gengap.training.fused_step.groups`; 0: the step is not fused.
    """
    sizes = {"n_networks": n_networks, "batch_size": batch_size, "image_area": image_area, "n_groups": n_groups}
    eager, compiled = (step_seconds(arch, **sizes, compiled=compiled) for compiled in (False, True))
    return n_steps * (eager - compiled) > (_FUSED_WORTH_SECONDS if n_groups else _WORTH_SECONDS)


def step_seconds(
    arch: Architecture, *, n_networks: int, batch_size: int, image_area: int, n_groups: int = 0, compiled: bool
) -> float:
    """Seconds of one step on the processor that the costs above were fitted on; of use as a ratio of two packs."""
    samples = n_networks * batch_size * image_area / 64
    if n_groups:
        overhead = _FUSED_LAUNCH_SECONDS + n_groups * _GROUP_SECONDS + n_networks * arch.n_parameters * _UPDATE_SECONDS
        products = samples * (_FUSED_SAMPLE_SECONDS + arch.n_parameters * _FUSED_PARAMETER_SECONDS)
        return (1 - _SAVED * compiled) * overhead + products
    overhead = _LAUNCH_SECONDS + samples * _SAMPLE_SECONDS
    products = samples * _PARAMETER_SECONDS * arch.n_parameters
    return (1 - _SAVED * compiled) * overhead + (1 - _SAVED_OF_PRODUCTS * compiled) * products


def pays_on_gpu(
    arch: Architecture,
    *,
    bandwidth: float,
    n_networks: int,
    batch_size: int,
    n_steps: int,
    image_shape: tuple[int, int, int],
) -> bool:
    """The same prediction for steps that a GPU replays as a CUDA graph, compiled or not.

    Args:
        arch: Of the networks.
        bandwidth: Of the GPU's memory [bytes/s].
        n_networks: That train together.
        batch_size: Samples per step.
        n_steps: That are left.
        image_shape: ``(channels, height, width)``.
    """
    shapes = input_shapes(arch.training, nn.Module, image_shape)
    layers = [shape.numel() for name, shape in shapes.items() if _is_layer(arch.training.get_submodule(name))]
    numbers = n_networks * batch_size * sum(layers)
    saved = len(layers) * _KERNELS_PER_LAYER * _KERNEL_SECONDS
    saved += _PASSES_SAVED * numbers * torch.float32.itemsize / bandwidth
    return n_steps * saved > _WORTH_SECONDS


def _is_layer(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def gpu_bandwidth(device: torch.device) -> float:
    """What a GPU's memory can move [bytes/s], by its data sheet: two transfers per clock."""
    of = torch.cuda.get_device_properties(device)
    return 2.0 * 1000 * of.memory_clock_rate * of.memory_bus_width / 8


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
    return step.compiled(Traced) if isinstance(step, OneByOne) else Owner(step)


class Owner:
    """A `Step` that is compiled to change the networks in place, so that a call takes no memory for them.

    It owns their tensors: what it returns is overwritten by the next call. What it is given is copied, unless it is
    what it has returned.
    """

    def __init__(self, step: Step) -> None:
        self._update = Traced(functools.partial(_updated, step))
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


def _updated(step: Step, networks: Any, *others: Any) -> tuple[Tensor]:
    """The step's losses; the networks after it are written over those before it."""
    new, loss = step(networks, *others)
    for own, value in zip(tensor_tree.leaves(networks), tensor_tree.leaves(new), strict=True):
        if value is not own:
            own.copy_(value)
    return (loss,)


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
