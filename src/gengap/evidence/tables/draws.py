"""Mean, median and variance of everything that a simulation measured, over its draws."""

import pandas as pd

from gengap.errors import UserError
from gengap.evidence.intervals import grouped, left_out, usable
from gengap.evidence.measurements import Evidence
from gengap.evidence.resampling import statistics
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Mean, median and variance over a simulation's draws.",
    "caption": """\
**Statistics over the draws** (study ``{{ snakemake.wildcards.study }}``). One row per point of the grid: mean, median
and variance over the draws, in brackets the ends of their 95 % percentile bootstrap intervals (in the CSV ``_low`` and
``_high``). Draws whose number was not finite are counted under *not finite* and enter no statistic. The same table is
beside this file as CSV, Markdown and LaTeX.
""",
}


def table(evidence: Evidence) -> pd.DataFrame:
    """The statistics of every point of the grid.

    Returns:
        One row per point and quantity: the axes, ``quantity``, ``draws``, ``not_finite``, and ``mean``, ``median`` and
        ``variance`` with their ``_low`` and ``_high`` ends; see
        `gengap.evidence.resampling.statistics`.

    Raises:
        UserError: If nothing was measured.
    """
    quantities = [name for name in QUANTITIES if name in evidence.cells]
    if not quantities:
        raise UserError(f"study '{evidence.study['name']}': nothing was measured, so there is nothing to tabulate.")
    rows = []
    for values, cells in grouped(evidence.cells, evidence.axes):
        for quantity in quantities:
            found = usable(cells, quantity)
            counts = {"draws": len(found), "not_finite": left_out(cells, quantity)["n_unmeasured"]}
            rows.append(values | {"quantity": quantity} | counts | statistics(found))
    return pd.DataFrame(rows)
