"""With which power of the learning rate the norms of filters drift (Luck Matters 2019, theorem 3)."""

import numpy as np
import pandas as pd

from gengap.errors import UserError
from gengap.evidence.intervals import grouped, interval
from gengap.evidence.measurements import Evidence
from gengap.evidence.node_curves import at_end, by_layer, layers

PART = {
    "summary": "Powers of the learning rate with which the filters' norms drift.",
    "needs": ("fan_in_norm_drift",),
    "varies": {"optimizer.lr": 2},
    "caption": """\
**Powers with which the filters' norms drift** (study ``{{ snakemake.wildcards.study }}``; Tian et al. 2019, theorem 3).
One row per group of networks and hidden layer: the slope of the logarithm of the relative drift of the squared fan-in
norms against the logarithm of the learning rate, by least squares for every seed, and its mean with the 95 %
confidence interval over seeds (Student's t). Networks that have not learned anything yet count. In a fixed number of
steps the drift grows with the square of the rate where gradient flow conserves the norm, and linearly where it does
not. The same table is beside this file as CSV, Markdown and LaTeX.
""",
}


RATE = "lr"


def table(evidence: Evidence) -> pd.DataFrame:
    """Slopes over the finished seeds that have every rate; a few steps at a low rate need not have learned anything.

    Raises:
        UserError: If the learning rate is no axis, or norms were not measured.
    """
    evidence = evidence.with_stuck()
    measured = by_layer(evidence, "fan_in_norm_drift")
    if RATE not in evidence.axes or not len(measured):
        raise UserError(
            f"study '{evidence.study['name']}': slopes need the axis optimizer.lr in `grid`, with several rates, and "
            "node_norms in `probes`. Add them, or remove 'drift_slopes' from `tables`."
        )
    drifts = at_end(measured)
    cells = evidence.cells.set_index("cell").loc[drifts.index]
    rates = pd.to_numeric(cells[RATE])
    rows = []
    for at, part in grouped(cells, [axis for axis in evidence.axes if axis != RATE]):
        for layer in layers(measured):
            found = []
            for _, seed in part.groupby("seed"):
                own = drifts.loc[seed.index, layer]
                if 1 < len(own) == rates.nunique() and (own > 0).all():
                    found.append(float(np.polyfit(np.log(rates[seed.index]), np.log(own), 1)[0]))
            ours = interval(found)
            slope = {"slope": ours.mean, "slope_low": ours.of_mean[0], "slope_high": ours.of_mean[1]}
            rows.append(at | {"layer": layer, "n": ours.n, **slope})
    return pd.DataFrame(rows)
