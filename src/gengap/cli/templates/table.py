"""How many networks of each group finished: replace this by one sentence on what NAME shows."""

import pandas as pd

from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "How many networks finished, over seeds.",
    "caption": """\
**How many networks finished** (study ``{{ snakemake.wildcards.study }}``). One row per group of networks that differ
only in their seed.
""",
}


def table(evidence: Evidence) -> pd.DataFrame:
    """One row per group: the axes, ``networks`` and ``finished``."""
    rows = []
    for values, cells in grouped(evidence.cells, evidence.axes):
        rows.append(values | {"networks": len(cells), "finished": int((cells["status"] == "finished").sum())})
    return pd.DataFrame(rows)
