"""The kernels run on the processor, by Triton's interpreter, which a process has from its start or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.thorough
def test_kernels_in_the_interpreter():
    pytest.importorskip("triton")
    files = sorted(HERE.glob("interpreted_*.py"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5", *map(str, files)]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, cwd=HERE.parents[2], env=environment, capture_output=True, text=True)
    assert len(files) == 2
    assert done.returncode == 0, done.stdout
