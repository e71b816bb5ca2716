"""Faster start: jobs of a run begin as forks of a process that has imported the libraries.

Snakemake starts a Python for every script, which imports PyTorch and pandas before it works: some four seconds of a
processor, while many a probe takes less. Only scripts of this environment on this machine are started so, from the
second on: where there is one, nothing is gained.
"""

import itertools
import os
import shlex
import signal
import subprocess
import sys
import threading
from typing import Any

from gengap.logs import log
from gengap.snakemake_support import warm_python

# As Snakemake tells a script how many threads it has. NumPy's library reads its variable when it is imported.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def install() -> None:
    """Start the scripts of this process of Snakemake so."""
    from snakemake.script import PythonScript

    if hasattr(PythonScript.execute_script, "cold"):
        return
    cold, numbers, callers, lock = PythonScript.execute_script, itertools.count(), dict[int, str](), threading.Lock()

    def caller(threads: int) -> str:
        """How a shell calls the Python of jobs with so many threads; Snakemake runs each job in a thread of its own."""
        with lock:
            if threads not in callers:
                callers[threads] = _caller(threads)
            return callers[threads]

    def execute_script(self: Any, fname: str, edit: bool = False) -> None:
        elsewhere = self.container_img is not None or self.conda_env is not None or self.env_modules is not None
        if elsewhere or next(numbers) == 0:
            cold(self, fname, edit=edit)
        else:
            self._execute_cmd("{python} {fname:q}", python=caller(self.threads), fname=fname, is_python_script=True)

    execute_script.cold = cold  # type: ignore[attr-defined]
    PythonScript.execute_script = execute_script


def _caller(threads: int) -> str:
    (python,) = shlex.split(sys.executable)
    environment = os.environ | dict.fromkeys(THREADS, str(threads))
    try:
        return f"{shlex.quote(python)} -IS {shlex.quote(str(warm_python.start(python, environment)))}"
    except KeyboardInterrupt:
        raise subprocess.CalledProcessError(-signal.SIGINT, python) from None  # as a job that was interrupted
    except OSError as error:
        log.warning("%s. Each job imports them itself.", error)
        return shlex.quote(python)
