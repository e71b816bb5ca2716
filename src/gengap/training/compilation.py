"""Whether compiling the step pays, and compiling it."""

import functools
import logging
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from gengap.engine.layers.modules import input_shapes
from gengap.engine.stack import Architecture
from gengap.logs import log
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
# What compiling saves of a step that a GPU replays. Estimates: every layer's operations become about 20 kernels fewer,
# each of which takes 2 us even if it has nothing to do, and a layer's numbers go four times less through memory.
_KERNEL_SECONDS, _KERNELS_PER_LAYER = 2e-6, 20
_PASSES_SAVED = 4


def pays(arch: Architecture, *, n_networks: int, batch_size: int, n_steps: int, image_area: int) -> bool:
    """Predict whether compiling would save enough of the time that `n_steps` eager steps take.

    A function of the sizes only: a measured time would let noise decide the last bits of a result.
    """
    overhead, products = _eager_seconds(arch, n_networks, batch_size, image_area)
    return n_steps * (_SAVED * overhead + _SAVED_OF_PRODUCTS * products) > _WORTH_SECONDS


def step_seconds(arch: Architecture, *, n_networks: int, batch_size: int, image_area: int, compiled: bool) -> float:
    """Seconds of one step on the processor that the costs above were fitted on; of use as a ratio of two packs."""
    overhead, products = _eager_seconds(arch, n_networks, batch_size, image_area)
    if compiled:
        overhead, products = (1 - _SAVED) * overhead, (1 - _SAVED_OF_PRODUCTS) * products
    return overhead + products


def _eager_seconds(arch: Architecture, n_networks: int, batch_size: int, image_area: int) -> tuple[float, float]:
    """Of one eager step: what launching its operations costs with their numbers, and its products."""
    samples = n_networks * batch_size * image_area / 64
    return _LAUNCH_SECONDS + samples * _SAMPLE_SECONDS, samples * _PARAMETER_SECONDS * arch.n_parameters


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
    compiler = functools.partial(torch.compile, dynamic=False) if device.type == "cuda" else Traced
    made = step.compiled(compiler) if isinstance(step, OneByOne) else compiler(step)
    return Replayed(made) if device.type == "cuda" else made


class Traced:
    """A `Step` that is traced to a graph of operators, which is then compiled, for every set of shapes and strides.

    `torch.compile` alone cannot follow `vmap` into the derivatives of our own kernels. The graph takes and gives plain
    tensors and goes to the compiler directly: through `torch.compile`, every call would check a hundred tensors first,
    0.2 to 0.4 ms. If the compiler fails, for any reason, the step runs as it is, and the log says so once.
    """

    def __init__(self, step: Step) -> None:
        self._step: Callable[..., Any] = step
        self._compiled: dict[Any, _Run] = {}
        self._failed = False

    def __call__(self, *arguments: Any) -> tuple[Any, Tensor]:
        """See `gengap.training.step.make_step`."""
        given, form = pytree.tree_flatten(arguments)
        layouts = tuple((value.shape, value.stride()) for value in given)
        result: tuple[Any, Tensor]
        if not self._failed and layouts not in self._compiled:
            try:
                run = _compiled_graph(self._step, given, form)
                result = run(given)
            except Exception as error:  # of the compiler's many; a fault of the step itself shows when it runs below
                if out_of_memory(error):
                    raise
                self._failed = True
                log.warning("the step could not be compiled, so training runs uncompiled, slower: %s", _reason(error))
            else:
                self._compiled[layouts] = run
                return result
        run_known = self._compiled.get(layouts)
        result = self._step(*arguments) if run_known is None else run_known(given)
        return result


_Run = Callable[[list[Tensor]], Any]


def _compiled_graph(step: Callable[..., Any], given: list[Tensor], form: pytree.TreeSpec) -> _Run:
    """The step as a function of a list of tensors, the leaves of its arguments, compiled for their layouts."""
    forms: list[pytree.TreeSpec] = []

    def flat(*leaves: Tensor) -> list[Tensor]:
        results, result_form = pytree.tree_flatten(step(*pytree.tree_unflatten(leaves, form)))
        forms.append(result_form)
        return results

    # What is one tensor in the first call may be two in the next (a network in a subspace starts at theta_0), and
    # tracing would take them for one for ever.
    apart = [value.clone() if id(value) in map(id, given[:place]) else value for place, value in enumerate(given)]
    run = torch._inductor.compile(make_fx(flat, tracing_mode="fake")(*apart), [*apart])
    return lambda leaves: pytree.tree_unflatten(run(*leaves), forms[0])


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
