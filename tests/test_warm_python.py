"""A process of the Python that has imported its libraries is as one of Python's own."""

import os
import signal
import subprocess
import sys

import pytest
import warm_python

PROGRAM = """\
import os, sys
print(sys.argv[1:], sys.stdin.read(), os.getcwd(), os.environ["WORD"], "gengap" in sys.modules, "torch" in sys.modules)
import own
print(own.PLACE, __name__, file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def program(tmp_path):
    """A script, and a module that it imports from PYTHONPATH."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path/own.py").write_text("PLACE = __file__\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


@pytest.mark.parametrize("called", [["program.py"], ["-m", "program"]], ids=["script", "module"])
def test_it_has_arguments_folder_environment_and_files_of_its_caller_and_its_exit_status(program, called):
    done = subprocess.run(
        [warm_python.interpreter(), *called, "7", "a b"],
        cwd=program,
        env=os.environ | {"PYTHONPATH": str(program / "path"), "WORD": "said"},
        input="read",
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"['7', 'a b'] read {program} said False True\n"
    assert done.stderr == f"{program}/path/own.py __main__\n"
    assert done.returncode == 7


def test_a_mistake_is_a_traceback_and_a_signal_is_a_signal(tmp_path):
    (tmp_path / "mistake.py").write_text("1 / 0\n")
    (tmp_path / "killed.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    done = subprocess.run([warm_python.interpreter(), tmp_path / "mistake.py"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert subprocess.run([warm_python.interpreter(), tmp_path / "killed.py"]).returncode == -signal.SIGKILL


def test_of_a_mistake_in_a_script_of_snakemake_no_line_is_long(tmp_path):
    """Snakemake writes the job, pickled, into one line before the script, and a traceback marks it with as many ^."""
    (tmp_path / "mistake.py").write_text(f"import own;{'x = 1;' * 3000}\n")
    (tmp_path / "own.py").write_text("import not_there\n")
    done = subprocess.run([warm_python.interpreter(), tmp_path / "mistake.py"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'not_there'\n")
    assert "mistake.py" in done.stderr
    assert "own.py" in done.stderr
    assert max(map(len, done.stderr.splitlines())) < 310


def test_what_it_does_not_know_python_does():
    done = subprocess.run(
        [warm_python.interpreter(), "-c", "import sys; print(sys.executable)"], capture_output=True, text=True
    )
    assert done.stdout == f"{sys.executable}\n"
