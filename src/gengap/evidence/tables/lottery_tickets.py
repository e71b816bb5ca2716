"""Pruned networks: weights left, early stopping and accuracy of every arm."""

from typing import Any

import pandas as pd

from gengap.evidence.early_stopping import early_stops
from gengap.evidence.intervals import grouped, interval
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Weights left, epoch of early stopping, and accuracy of pruned networks (Frankle 2019).",
    "needs": ("weights_left",),
    "caption": """\
**Pruned networks** (study ``{{ snakemake.wildcards.study }}``). One row per arm: share of the weights left, the epoch
of the lowest test loss, and the test accuracy at that epoch and at the end of its own training; means over the finished
seeds with 95 % confidence intervals (Student's t; of accuracies on the logit scale). Early stopping is chosen on the
test set, so its accuracies are optimistic, alike for all arms. The same table is beside this file as CSV, Markdown and
LaTeX.
""",
}


def table(evidence: Evidence) -> pd.DataFrame:
    """One row per group of cells that differ in their seed alone, in the grid's order; shares in percent."""
    stops = early_stops(evidence)
    rows = []
    for values, cells in grouped(evidence.finished, evidence.axes):
        own = stops.loc[cells["cell"]]
        row: dict[str, Any] = {**values, "seeds": len(cells), "weights_left": 100 * cells["weights_left"].mean()}
        for name, found, share in (
            ("early_stop_epoch", own["early_stop_epoch"], False),
            ("early_stop_accuracy", own["early_stop_accuracy"], True),
            ("test_accuracy", cells["test_accuracy"], True),
        ):
            ours, scale = interval(found, share=share), 100 if share else 1
            low, high = ours.of_mean
            row |= {name: scale * ours.mean, f"{name}_low": scale * low, f"{name}_high": scale * high}
        rows.append(row)
    return pd.DataFrame(rows)
