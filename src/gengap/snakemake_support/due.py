"""What a run of Snakemake would make, as Snakemake itself says: its records and triggers decide.

`snakemake --summary` prints a table with a line per file; what a dry run would make has the plan "update pending".
"""

import csv
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gengap.errors import UserError

_PENDING = "update pending"


def outputs(targets: Sequence[str], project: Path = Path()) -> set[Path]:
    """The files that ``snakemake TARGETS`` would make now.

    Args:
        targets: Names of studies and simulations, or files.
        project: The project's top.

    Raises:
        UserError: If Snakemake does not plan them, with what it says.
    """
    with asked(targets, project) as answer:
        return answer()


@contextmanager
def asked(targets: Sequence[str], project: Path = Path()) -> Iterator[Callable[[], set[Path]]]:
    """Ask Snakemake in a process beside this one, which can do other work before it calls for the answer.

    Args:
        targets: As for `outputs`.
        project: As for `outputs`.

    Yields:
        A function that waits for the answer: what `outputs` returns and raises.
    """
    process = subprocess.Popen(
        [sys.executable.strip("'"), "-m", "snakemake", "--summary", *targets],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    with process:
        try:
            yield lambda: _answer(process, targets)
        finally:
            process.kill()  # of one that has ended, this does nothing


def _answer(process: "subprocess.Popen[str]", targets: Sequence[str]) -> set[Path]:
    out, err = process.communicate()
    head, _, table = out.partition("output_file\t")
    if process.returncode or not table:
        said = [line for line in (err or head).splitlines() if line.strip()]
        raise UserError(f"snakemake {' '.join(targets)}: cannot be planned. {' '.join(said[-3:])}")
    rows = csv.DictReader(("output_file\t" + table).splitlines(), delimiter="\t")
    return {Path(row["output_file"]) for row in rows if row["plan"] == _PENDING}
