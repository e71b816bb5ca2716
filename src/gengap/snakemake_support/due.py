"""What a run of Snakemake would make, as Snakemake itself says: its records and triggers decide.

`snakemake --summary` prints a table with a line per file; what a dry run would make has the plan "update pending".
"""

import csv
import subprocess
import sys
from collections.abc import Sequence
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
    done = subprocess.run(
        [sys.executable.strip("'"), "-m", "snakemake", "--summary", *targets],
        cwd=project,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    head, _, table = done.stdout.partition("output_file\t")
    if done.returncode or not table:
        said = [line for line in (done.stderr or head).splitlines() if line.strip()]
        raise UserError(f"snakemake {' '.join(targets)}: cannot be planned. {' '.join(said[-3:])}")
    rows = csv.DictReader(("output_file\t" + table).splitlines(), delimiter="\t")
    return {Path(row["output_file"]) for row in rows if row["plan"] == _PENDING}
