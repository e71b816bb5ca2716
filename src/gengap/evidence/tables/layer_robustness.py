"""Test error of networks with one layer reset or redrawn, mean over layers and the worst layer."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from gengap.evidence.intervals import grouped, interval
from gengap.evidence.layer_resets import by_layer
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Test error with one layer reset to the start, or redrawn: first layer, other layers (Zhang 2019).",
    "needs": ("test_error_after_rerandomization", "error_rise_after_reset"),
    "caption": """\
**One layer reset or redrawn** (study ``{{ snakemake.wildcards.study }}``; after Zhang, Bengio and Singer 2019,
arXiv:1902.01996). One row per group of networks: their own test error; that with one layer back at its initial
weights, for the first layer, for the mean of the others, and for the layer that is the worst on average; and the least
test error with a layer redrawn. Means over the finished seeds, in percent; ``_low`` and ``_high`` are 95 % confidence
intervals (Student's t on the logit scale).
""",
}


def table(evidence: Evidence) -> pd.DataFrame:
    """One row per group of cells that differ in their seed alone, in the grid's order.

    Raises:
        UserError: If the probe `layer_reset` measured nothing.
    """
    errors = by_layer(evidence)
    rows = []
    for at, cells in grouped(evidence.finished, evidence.axes):
        own = {name: errors[name] for name in cells["cell"] if name in errors}
        if not own:
            continue
        start = pd.DataFrame({name: one["reset"] for name, one in own.items()})
        worst = str(start.mean(axis=1).idxmax())
        row: dict[str, Any] = {**at, "seeds": len(own)}
        columns: dict[str, Iterable[float]] = {
            "test_error": [one["own"] for one in own.values()],
            "first_layer_reset": start.iloc[0],
            "other_layers_reset": start.iloc[1:].mean(),
            "worst_layer_reset": start.T[worst],
            "least_redrawn": [one["redrawn"].min() for one in own.values()],
        }
        for column, values in columns.items():
            ours = interval(values, share=True)
            low, high = ours.of_mean
            row |= {column: 100 * ours.mean, f"{column}_low": 100 * low, f"{column}_high": 100 * high}
        rows.append({**row, "worst_layer": worst})
    return pd.DataFrame(rows)
