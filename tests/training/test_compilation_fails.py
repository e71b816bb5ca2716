"""Compiling the step where that cannot work: training goes on uncompiled, and one line says why."""

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from forked import CONTEXT

from gengap.engine import device
from gengap.engine.cpu import operators
from gengap.training import compilation

pytestmark = [pytest.mark.skipif(not operators.available(), reason="no C++ compiler"), pytest.mark.long]
HERE = Path(__file__).parent


def mounted(folder, options):
    """Mount a file system of a test's own on a folder; skip without root."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")


def noexec(folder):
    mounted(folder, "noexec")
    return {"TMPDIR": str(folder)}, " is mounted noexec. Set TMPDIR and TORCHINDUCTOR_CACHE_DIR"


def full(folder):
    mounted(folder, "size=64k")
    return {"TMPDIR": str(folder)}, "No space left on device. Set TMPDIR and TORCHINDUCTOR_CACHE_DIR"


def full_for_the_compiler(folder):
    (folder / "cache").mkdir()
    (folder / "small").mkdir()
    mounted(folder / "small", "size=64k")
    return {"TMPDIR": f"{folder}/small", "TORCHINDUCTOR_CACHE_DIR": f"{folder}/cache"}, "No space left on device"


def broken_compiler(folder):
    for name in ("g++", "clang++"):
        (folder / name).write_text('#!/bin/sh\necho "error: no such luck" >&2\nexit 1\n')
        (folder / name).chmod(0o755)
    variables = {"PATH": f"{folder}:{os.environ['PATH']}", "CXX": str(folder / "g++")}
    return variables | {"TORCHINDUCTOR_CACHE_DIR": f"{folder}/cache"}, "No working C++ compiler"


def no_compiler(folder):
    return {"PATH": str(folder)}, "no C++ compiler was found, so training runs uncompiled"


def two_steps(log, variables):
    """Two steps of gradient descent, compiled as one loop, and not; logs at last whether their results agree."""
    logging.basicConfig(filename=log, level=logging.WARNING, format="%(message)s")
    # PyTorch sets the variable in a process that compiles, such as that of the tests.
    os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)
    os.environ.update(variables)
    tempfile.tempdir = None  # to be found by the variables

    def step(networks, x):
        slope, loss = torch.func.grad_and_value(lambda weight: (x * weight).sin().square().mean())(networks["weight"])
        return {"weight": networks["weight"] - slope}, loss

    processor = device.choose("cpu")
    from torch._inductor import config  # once there is a folder for it

    # Neither vector instructions nor compiled headers, which take longer than all the rest.
    settings = {"cpp.vec_isa_ok": False, "cpp_cache_precompile_headers": False, "compile_threads": 1}
    with config.patch(settings):
        weight, x = torch.randn(2, 8, 4)
        compiled = compilation.compiled(step, processor)
        found = expected = {"weight": weight}
        for _ in range(2):
            (found, _), (expected, _) = compiled(found, x), step(expected, x)
    logging.warning("agree %s", torch.allclose(found["weight"], expected["weight"]))


def run(log, variables):
    """Lines that `two_steps` logged, in a process with these variables."""
    process = CONTEXT.Process(target=two_steps, args=(log, variables))
    process.start()
    process.join()
    assert process.exitcode == 0
    return log.read_text().splitlines()


ALSO = [full, full_for_the_compiler, broken_compiler]


@pytest.mark.parametrize(
    "break_it", [no_compiler, *(pytest.param(way, marks=pytest.mark.thorough) for way in (noexec, *ALSO))]
)
def test_training_goes_on_uncompiled(break_it, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    variables, says = break_it(broken)
    try:
        lines = run(tmp_path / "log", variables)
    finally:
        for folder in (broken, broken / "small"):
            subprocess.run(["umount", "--lazy", str(folder)], capture_output=True)
    assert lines[-1] == "agree True"
    (line,) = [line for line in lines if "uncompiled" in line]
    assert says in line


@pytest.mark.thorough
def test_a_cache_folder_that_cannot_be_made_is_replaced(tmp_path):
    """PyTorch needs one for every derivative, compiled or not."""
    (tmp_path / "file").touch()
    variables = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}
    # A process of its own: it imports the compiler itself, which makes the folder, and removes the folder at its end.
    program = f"import test_compilation_fails as test; test.two_steps({str(tmp_path / 'log')!r}, {variables})"
    env = os.environ | variables | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    subprocess.run([sys.executable, "-c", program], env=env, check=True)
    lines = (tmp_path / "log").read_text().splitlines()
    (line,) = [line for line in lines if "only for this process" in line]
    assert "File exists" in line
    assert not any("uncompiled" in line for line in lines)
    assert lines[-1] == "agree True"
    assert not list(tmp_path.glob("gengap-*"))  # the private one is gone
