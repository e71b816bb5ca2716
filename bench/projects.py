"""A copy of the project with one study, and Snakemake run in it: what the benchmarks of the workflow start from."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gengap import layout

REPOSITORY = Path(__file__).resolve().parents[1]
COPIED = ("Snakefile", "rules", "workflow", "profiles", "src", "config/config.yaml", "config/published")
# A process begins with the peak memory of the one that starts it, and PyTorch is large: this one is small.
MEASURE = """\
import resource, subprocess, sys, time
began = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
print(status, time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def make(folder: Path, study: str) -> Path:
    """A copy of the project with one study, called `large`."""
    for name in COPIED:
        source, target = REPOSITORY / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
    (folder / layout.STUDIES).mkdir()
    (folder / layout.study_file("large")).write_text(study)
    config = folder / layout.CONFIG
    text = re.sub(r"^studies: .*$", "studies: [large]", config.read_text(), flags=re.MULTILINE)
    config.write_text(re.sub(r"^device: \w+", "device: cpu", text, flags=re.MULTILINE))
    return folder


def run(arguments: list[str], folder: Path, environment: Mapping[str, str] = os.environ) -> tuple[float, float]:
    """Run Snakemake in a folder.

    Returns:
        Seconds, and the peak memory in MiB of its largest process.
    """
    command = [sys.executable, "-S", "-c", MEASURE, sys.executable, "-m", "snakemake", *arguments]
    variables = {**environment, "PYTHONPATH": str(folder / "src")}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=True)
    status, seconds, kibibytes = done.stdout.split()
    if status != "0":
        sys.exit(f"snakemake failed:\n{done.stderr[-3000:]}")
    return float(seconds), int(kibibytes) / 1024


def in_loops(folder: Path) -> float:
    """Seconds that all packs together spent in their training loops, in whole seconds each: from their logs."""
    return float(sum(_took(path.read_text()) for path in folder.glob(str(layout.log("large", "train", "*")))))


def _took(log: str) -> int:
    """Seconds in the loop, from the last line of progress."""
    hours, minutes, seconds = re.findall(r", took (?:(\d+) h )?(?:(\d+) min)?(?: ?(\d+) s)?$", log, re.MULTILINE)[-1]
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
