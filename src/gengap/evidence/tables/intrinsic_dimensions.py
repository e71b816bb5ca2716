"""Intrinsic dimensions by both thresholds."""

from typing import Any

import pandas as pd

from gengap.evidence.intrinsic_dimension import groups, intrinsic_dimensions
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Smallest random subspace that reaches 90 % accuracy, or 90 % of the whole network (Li 2018).",
    "needs": ("train_accuracy", "test_accuracy"),
    "varies": {"training.subspace": 2},
    "caption": """\
**Intrinsic dimensions** (study ``{{ snakemake.wildcards.study }}``; Li et al. 2018). Per kind of network: its number D
of weights; the accuracy of the network whose weights are trained; and the smallest size d of a random subspace at
which a network reaches an accuracy of 90 % (absolute, what the paper's numbers for MNIST are) or 90 % of the whole
network (relative, what its text says): medians over seeds, with the smallest and the largest. A seed that reaches it
at no size counts as not reached. The accuracy is that of the test set, with random labels that of the training set.
Sizes between those of the grid are not known. The same table is beside this file as CSV, Markdown and LaTeX.
""",
}


def table(evidence: Evidence) -> pd.DataFrame:
    """One row per group of cells that differ in subspace and seed alone; accuracies in percent."""
    rows = []
    for at, part in groups(evidence):
        found = intrinsic_dimensions(part)
        row: dict[str, Any] = {**at, "weights": int(part["n_parameters"].max()), "seeds": len(found)}
        row["whole_network_accuracy"] = 100 * found["baseline"].mean()
        for name in ("absolute", "relative"):
            reached = found[name].dropna()
            row |= {
                f"d_{name}": reached.median(),
                f"d_{name}_min": reached.min(),
                f"d_{name}_max": reached.max(),
                f"not_reached_{name}": len(found) - len(reached),
            }
        rows.append(row)
    return pd.DataFrame(rows)
