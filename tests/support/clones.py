"""Commands in a project under git and DVC, and clones of it."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import warm_python

STUDY = "config/studies/tiny.yaml"


def variables(folder):
    """This environment, where `gengap` is the one in a folder; git knows an author, and DVC nobody to report to."""
    # A make that runs the tests would have the one that they run say where it enters and leaves.
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return {
        **own,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "src"),
        "GENGAP_DATA_ROOT": str(folder / "data/raw"),
        "DVC_NO_ANALYTICS": "1",
        **{f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }


def call(folder, *command: str, status=0, **more):
    """Run a command in a folder and return all that it printed; its exit status must be the expected one."""
    if command[0] == "gengap":
        command = (warm_python.interpreter(), str(Path(sys.executable).with_name("gengap")), *command[1:])
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables(folder) | more,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}"
    return done.stdout


def jobs(output: str) -> set[str]:
    """The messages of the jobs that Snakemake lists in a dry run, or in its log."""
    return set(re.findall(r"^Job \d+: (.*)$", output, flags=re.MULTILINE))


def ran(folder, *command: str) -> tuple[str, set[str]]:
    """Run a command; what it printed, and the messages of the jobs that Snakemake's logs say were run."""
    logs = folder / ".snakemake/log"
    before = set(logs.glob("*.log"))
    output = call(folder, *command)
    return output, {message for log in set(logs.glob("*.log")) - before for message in jobs(log.read_text())}


def planned(folder, *arguments: str, **more) -> set[str]:
    """The messages of all jobs that Snakemake would run."""
    output = call(folder, "snakemake", "--dry-run", *arguments, **more)
    assert bool(jobs(output)) != ("Nothing to be done" in output), output
    return jobs(output)


def changed(folder, **more) -> set[str]:
    """The stages that `dvc status` lists."""
    output = call(folder, "dvc", "status", **more)
    stages = set(re.findall(r"^(\S+):$", output, flags=re.MULTILINE))
    assert bool(stages) != ("up to date" in output), output
    return stages


def edit(folder, path: str, old: str, new: str) -> None:
    text = (folder / path).read_text()
    assert old in text
    (folder / path).write_text(text.replace(old, new))


def clone(original: Path, to: Path) -> Path:
    """A clone, with the environment of this test run instead of one of its own, and nothing pulled."""
    call(original, "git", "clone", "--quiet", str(original), str(to))
    lend_environment(to)
    return to


def lend_environment(folder: Path) -> None:
    """Give make the environment in which this test runs."""
    (folder / ".venv").mkdir()
    (folder / ".venv/.stamp").touch()
    for path in ("requirements.lock", "pyproject.toml"):
        os.utime(folder / path, (0, 0))


def commit(folder, message: str, paths: Sequence[str] = (".",)) -> None:
    call(folder, "git", "add", *paths)
    call(folder, "git", "commit", "--quiet", "--message", message)
