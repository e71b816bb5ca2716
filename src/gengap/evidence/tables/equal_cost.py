"""Accuracies and losses of every group after an equal number of gradient evaluations, over seeds."""

import pandas as pd

from gengap.evidence.costs import COST, common_cost, held, with_costs
from gengap.evidence.intervals import FAILED, grouped, interval
from gengap.evidence.measurements import Evidence
from gengap.quantities import QUANTITIES, SHARES

PART = {
    "summary": "Losses and accuracies after equal gradient evaluations.",
    "caption": """\
**Accuracies and losses at equal cost** (study ``{{ snakemake.wildcards.study }}``; after Song 2019, chapter 3). One row
per group of networks that differ only in their seed, after as many gradient evaluations as every finished network
reached (a product of the Hessian with a vector counts as 2). Values are those of each network's last evaluation at or
before that cost, recorded while training in the BatchNorm mode of the column ``batchnorm``: means over the finished
seeds, with the 95 % confidence interval of the mean (Student's t) in brackets (in the CSV ``_low`` and ``_high``).
Dead, stuck and diverged networks are counted and enter no mean.
""",
}

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
            estimate = interval(runs, share=quantity in SHARES)
            low, high = estimate.of_mean
            row |= {quantity: estimate.mean * scale}
            row |= {f"{quantity}_low": low * scale, f"{quantity}_high": high * scale}
        rows.append(row)
    return pd.DataFrame(rows)
