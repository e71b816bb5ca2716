"""Accuracies and losses of every group after an equal number of gradient evaluations, over seeds."""

import pandas as pd

from gengap.evidence.costs import COST, common_cost, held, with_costs
from gengap.evidence.intervals import FAILED, grouped, interval
from gengap.evidence.measurements import Evidence
from gengap.quantities import QUANTITIES, SHARES

SHOWN = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")


def table(evidence: Evidence) -> pd.DataFrame:
    """Means over the finished seeds with their 95 % confidence intervals, as recorded while training.

    Returns:
        One row per group: the axes, ``gradient_evaluations``, the cost of the comparison, ``seeds``, ``dead``,
        ``stuck``, ``diverged``, ``batchnorm``, and for each accuracy [%] and loss its mean, ``_low`` and ``_high``.

    Raises:
        UserError: If the cost of a network is unknown.
    """
    cost = common_cost(evidence)
    values = held(with_costs(evidence), [cost])
    rows = []
    for axes, cells in grouped(evidence.cells, evidence.axes):
        counts = {word: int((cells["status"] == word).sum()) for word in FAILED}
        finished = cells.loc[cells["status"] == "finished", "cell"]
        own = values[values["cell"].isin(finished)]
        modes = ", ".join(sorted(set(own["batchnorm"])))
        row = axes | {COST: f"{cost:g}", "seeds": len(finished)} | counts | {"batchnorm": modes}
        for quantity in SHOWN:
            runs, scale = own.loc[own["quantity"] == quantity, "value"], QUANTITIES[quantity].scale
            found = interval(runs, share=quantity in SHARES)
            low, high = found.of_mean
            row |= {quantity: found.mean * scale}
            row |= {f"{quantity}_low": low * scale, f"{quantity}_high": high * scale}
        rows.append(row)
    return pd.DataFrame(rows)
