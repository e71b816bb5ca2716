"""How a file was made: settings, code, libraries, device and time, as plain values."""

import datetime
import functools
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gengap import layout, versions

_LIBRARIES = ("gengap", "torch", "torchvision", "numpy", "pandas", "h5py", "scipy", "snakemake")


def record(settings: Mapping[str, Any], *, code: str = "", device: str = "cpu") -> dict[str, Any]:
    """Describe the present run.

    Args:
        settings: What the file depends on: a plain mapping.
        code: Digest of the code that it depends on beside the numbers in `gengap.versions`; empty if there is none.
        device: Name of the device that computed it.
    """
    return {
        "settings": dict(settings),
        "code": code,
        "numbers": {name.lower(): number for name, number in vars(versions).items() if name.isupper()},
        "versions": {name: version_of(name) for name in _LIBRARIES},
        "python": platform.python_version(),
        "device": device,
        "machine": platform.machine(),
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **git_state(),
    }


@functools.cache
def git_state() -> dict[str, Any]:
    """Commit of this checkout and whether it has uncommitted changes; empty outside a repository.

    Of a lab, whose gengap is installed, it is the lab's own commit: that of its studies and plugins.
    """
    here = Path(__file__).resolve().parent if layout.is_checkout() else Path.cwd()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "", "dirty": False}


def version_of(package: str) -> str:
    """The version of an installed package; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
