"""Compiling the step where that cannot work: training goes on uncompiled, and one line says why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gengap.engine.cpu import operators

pytestmark = [pytest.mark.skipif(not operators.available(), reason="no C++ compiler"), pytest.mark.long]
REPOSITORY = Path(__file__).resolve().parents[2]
# Two steps of gradient descent, compiled as one loop, and not; says whether their results agree, and what was logged.
PROGRAM = """
import logging, sys
logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
import torch
from gengap.engine import device
from gengap.training import compilation

def step(weight, x):
    return weight - torch.func.grad(lambda weight: (x * weight).sin().square().mean())(weight)

weight, x = torch.randn(2, 8, 4)
compiled = compilation.compiled(step, device.choose("cpu"))
results = [compiled(weight, x) for _ in range(2)]
print("agree", all(torch.allclose(result, step(weight, x)) for result in results))
"""


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


def run(variables):
    """Lines that `PROGRAM` printed, in an environment with these variables."""
    # PyTorch sets the variable in a process that compiles, such as that of the tests.
    env = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    env |= {"PYTHONPATH": str(REPOSITORY / "src"), **variables}
    # Neither vector instructions nor compiled headers, which take longer than all the rest.
    env |= {"TORCHINDUCTOR_VEC_ISA_OK": "0", "TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS": "0"}
    env |= {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("break_it", [noexec, full, full_for_the_compiler, broken_compiler, no_compiler])
def test_training_goes_on_uncompiled(break_it, tmp_path):
    variables, says = break_it(tmp_path)
    try:
        lines = run(variables)
    finally:
        for folder in (tmp_path, tmp_path / "small"):
            subprocess.run(["umount", "--lazy", str(folder)], capture_output=True)
    assert lines[-1] == "agree True"
    (line,) = [line for line in lines if "uncompiled" in line]
    assert says in line


def test_a_cache_folder_that_cannot_be_made_is_replaced(tmp_path):
    """PyTorch needs one for every derivative, compiled or not."""
    (tmp_path / "file").touch()
    lines = run({"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "file"), "TMPDIR": str(tmp_path)})
    (line,) = [line for line in lines if "only for this process" in line]
    assert "File exists" in line
    assert not any("uncompiled" in line for line in lines)
    assert lines[-1] == "agree True"
    assert not list(tmp_path.glob("gengap-*"))  # the private one is gone
