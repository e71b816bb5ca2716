"""Our own kernels for packs of small networks on a processor, in C++ beside this file, compiled once and called."""

import ctypes
import functools
import getpass
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gengap.errors import UserError
from gengap.files.storage import beside
from gengap.logs import log

_HEADERS = [Path(__file__).parent / "kernels" / name for name in ("maps.h", "images.h")]
_SOURCES = [Path(__file__).parent / "kernels" / name for name in ("pack.cpp", "forward.cpp", "patches.cpp")]
# Without -ffast-math: that would make the whole process round denormal numbers to 0, and take NaN for a number.
_FLAGS = ["-O3", "-march=native", "-std=gnu++17", "-fno-math-errno", "-fno-trapping-math"]
_FLAGS += ["-fopenmp", "-shared", "-fPIC"]


def runs(tensor: Tensor) -> bool:
    """Whether the kernels can take this tensor."""
    return (
        tensor.device.type == "cpu"
        and tensor.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and _library() is not None
    )


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled kernels; nothing, said once, where they cannot be compiled."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        return None
    try:
        return ctypes.CDLL(str(_compiled(compiler)))
    except (subprocess.SubprocessError, OSError, UserError) as error:
        said = getattr(error, "stderr", None) or error
        log.warning("the kernels for small networks could not be compiled, so PyTorch's are used: %s", said)
        return None


def _compiled(compiler: str) -> Path:
    """The shared library, compiled unless this was done before for the same source, compiler and processor."""
    run = functools.partial(subprocess.run, check=True, capture_output=True, text=True)
    # What the compiler defines for this processor; a folder may be shared by machines.
    machine = run([compiler, *_FLAGS, "-E", "-dM", "-x", "c++", os.devnull]).stdout
    texts = [path.read_text() for path in [*_HEADERS, *_SOURCES]]
    content = "\0".join([compiler, machine, *_FLAGS, *texts])
    cache = os.environ.get("TORCHINDUCTOR_CACHE_DIR") or f"{tempfile.gettempdir()}/torchinductor_{getpass.getuser()}"
    path = Path(cache) / "gengap" / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.so"
    if not path.exists():
        with beside(path, sync=False) as temporary:
            run([compiler, *_FLAGS, *map(str, _SOURCES), "-o", str(temporary)])
    return path


def call(name: str, *arguments: Any) -> None:
    """Call a kernel; the number of threads is its last argument."""
    library = _library()
    assert library is not None
    getattr(library, name)(*map(_as_c, arguments), _as_c(torch.get_num_threads()))


def _as_c(value: Any) -> Any:
    if isinstance(value, Tensor):
        return ctypes.c_void_p(value.data_ptr())
    if isinstance(value, tuple):
        return (ctypes.c_int64 * len(value))(*value)
    return {int: ctypes.c_int64, float: ctypes.c_float, type(None): ctypes.c_void_p}[type(value)](value)
