"""The C++ kernels of `kernels/`: compiled once per machine, kept in the user's cache folder, loaded into PyTorch."""

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

from gengap.errors import UserError, unknown_name
from gengap.files import user_cache
from gengap.logs import log

_KERNELS = Path(__file__).parent / "kernels"
_ARITHMETIC = ("training.cpp", "passes.cpp", "sparse.cpp", "evaluation.cpp", "patch_moments.cpp")
_BINDING = "operators.cpp"
# Without -ffast-math: loading such a library makes the whole process round denormal numbers to 0.
_FLAGS = ("-std=gnu++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-fopenmp")
_COMMON_FLAGS = ("-fPIC", "-fvisibility=hidden")
# What `GENGAP_KERNELS` may be: for this processor, or for a set of vector instructions.
_BUILDS = {
    "native": ("-march=native",),
    "avx512": ("-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx2", "-mfma"),
    "avx2": ("-mavx2", "-mfma"),
    "generic": (),
}
_NEEDS = {"native": "", "avx512": "__AVX512F__", "avx2": "__AVX2__", "generic": ""}  # macros of the processor
_NOEXEC = "failed to map segment"  # how the dynamic loader words it


class BuildError(Exception):
    """The kernels cannot be compiled or loaded; the message is what the compiler said first, or why."""


class _DamagedError(BuildError):
    """A library that cannot be loaded, and might be if it is compiled again."""


@functools.cache
def load() -> bool:
    """Load the operators ``gengap::*``; False, with one line in the log, where that cannot be done.

    Raises:
        UserError: If `GENGAP_KERNELS` is unknown or not for this processor.
    """
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        log.warning("no C++ compiler was found, so small networks run on PyTorch's operators, slower: install g++")
        return False
    try:
        _load(compiler)
    except (BuildError, OSError, subprocess.SubprocessError) as error:
        log.warning("the kernels could not be loaded, so small networks run on PyTorch's operators, slower: %s", error)
        return False
    return True


def builds() -> list[str]:
    """The values of `GENGAP_KERNELS` that this processor can run; needs a compiler."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    assert compiler is not None
    macros = _macros(compiler, _BUILDS["native"])
    return [build for build, macro in _NEEDS.items() if macro in macros]


def _load(compiler: str) -> None:
    build = os.environ.get("GENGAP_KERNELS") or "native"
    if build not in _BUILDS:
        raise unknown_name("build of the kernels", build, _BUILDS, where="GENGAP_KERNELS")
    if build not in (possible := builds()):
        raise UserError(f"GENGAP_KERNELS: this processor cannot run '{build}'. Choose from: {', '.join(possible)}.")
    added = os.environ.get("GENGAP_KERNELS_FLAGS", "").split()  # such as -fsanitize=address
    arithmetic = (*_COMMON_FLAGS, *_FLAGS, *_BUILDS[build], *added)
    binding = (*_COMMON_FLAGS, *_binding_flags(), *added)
    name = f"kernels-{_digest(compiler, arithmetic, binding)}.so"
    try:
        folder = user_cache.folder()
    except UserError as error:
        log.warning("%s Until then, every process compiles the kernels for itself.", error)
        with tempfile.TemporaryDirectory(prefix="gengap-") as temporary:
            _load_from(Path(temporary) / name, compiler, arithmetic, binding)
    else:
        _load_from(folder / name, compiler, arithmetic, binding)


def _load_from(path: Path, compiler: str, arithmetic: tuple[str, ...], binding: tuple[str, ...]) -> None:
    if path.exists():
        try:
            _load_library(path)
        except _DamagedError:
            log.info("%s is damaged and is compiled again", path)
        else:
            return
    log.info("compiling the kernels for small networks, once on this machine: about 10 s")
    # Beside its final name, because two processes may do this at once. Compilers use this folder too, not TMPDIR.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".build-") as work:
        objects = _compile(compiler, arithmetic, binding, Path(work))
        built = Path(work) / path.name
        libraries = (f"-L{Path(torch.__file__).parent / 'lib'}", "-ltorch_cpu", "-lc10")
        _finish(_start([compiler, "-shared", *arithmetic, *objects, "-o", str(built), *libraries], Path(work)))
        built.replace(path)
    _load_library(path)


def _load_library(path: Path) -> None:
    try:
        torch.ops.load_library(str(path))
    except OSError as error:
        reason = f"{error.__cause__ or error}"  # the dynamic loader's own words
        if _NOEXEC in reason:
            raise BuildError(f"{path.parent} is mounted noexec; set XDG_CACHE_HOME to another folder") from error
        raise _DamagedError(reason) from error


def _compile(compiler: str, arithmetic: tuple[str, ...], binding: tuple[str, ...], work: Path) -> list[str]:
    """Compile all sources side by side; the names of the object files."""
    jobs = []
    for name in (_BINDING, *_ARITHMETIC):
        made = str(work / f"{name}.o")
        flags = binding if name == _BINDING else arithmetic
        jobs.append((made, _start([compiler, *flags, "-c", str(_KERNELS / name), "-o", made], work)))
    try:
        for _, job in jobs:
            _finish(job)
    finally:
        for _, job in jobs:
            job.kill()
            job.wait()
    return [made for made, _ in jobs]


def _start(command: list[str], work: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "TMPDIR": str(work), "LC_ALL": "C"}
    environment.pop("LD_PRELOAD", None)  # a sanitizer's library is for Python, not for the compiler
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )


def _finish(job: "subprocess.Popen[str]") -> None:
    _, said = job.communicate()
    if job.returncode:
        lines = said.strip().splitlines() or [f"the compiler ended with status {job.returncode}"]
        raise BuildError(next((line for line in lines if "error" in line.lower()), lines[-1]))


def _binding_flags() -> tuple[str, ...]:
    """For the one unit that includes PyTorch's headers, which no longer compile as C++17; it computes nothing."""
    include = Path(torch.__file__).parent / "include"
    # Older versions know only the weaker tag.
    strides = "needs_exact_strides" if hasattr(torch.Tag, "needs_exact_strides") else "needs_fixed_stride_order"
    abi = int(torch.compiled_with_cxx11_abi())
    defined = (f"-DSTRIDES_TAG={strides}", f"-D_GLIBCXX_USE_CXX11_ABI={abi}")
    return "-std=gnu++20", "-O1", "-isystem", str(include), *defined


def _macros(compiler: str, flags: tuple[str, ...]) -> str:
    """What the compiler defines with these flags: its own version, and what the processor can do."""
    command = [compiler, *flags, "-E", "-dM", "-x", "c++", os.devnull]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{compiler} ended with status {done.returncode}"]
        raise BuildError(lines[0])
    return done.stdout


def _digest(compiler: str, arithmetic: tuple[str, ...], binding: tuple[str, ...]) -> str:
    """Of all that the library depends on; a home folder may be shared by machines."""
    sources = [path.read_text() for path in sorted(_KERNELS.iterdir()) if path.suffix in (".h", ".cpp")]
    parts = [compiler, platform.machine(), torch.__version__, _macros(compiler, arithmetic), *arithmetic, *binding]
    return hashlib.sha256("\0".join(parts + sources).encode()).hexdigest()[:32]
