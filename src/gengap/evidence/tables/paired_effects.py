"""Every value of one axis against its first: paired differences with intervals and tests (Song 2019, chapter 4)."""

from typing import Any

import pandas as pd

from gengap.evidence.measurements import Evidence, lacking
from gengap.evidence.paired import by_seed, compared_axis, effect, holm, interaction, pairs
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Every value of one axis against its first: paired differences, seeds as blocks, and tests.",
    "options": {
        "axis": {
            "type": "axis",
            "default": None,
            "meaning": "Axis whose values are compared; may be left out where the grid has one beside the seed.",
        },
    },
    "needs": (
        "train_accuracy",
        "test_accuracy",
        "train_loss",
        "test_loss",
    ),
    "caption": """\
**Paired effects** (study ``{{ snakemake.wildcards.study }}``). Every value of one axis of the grid against its first
value, the column ``baseline``: mean differences over pairs of networks that agree on everything else, the seed
included. Networks of one seed under several other settings are no independent runs, so each seed counts once, with its
mean over these settings. Accuracies are in percentage points; ``at`` says whether the networks were measured at the
``end`` or at the ``start``, before any training, where a difference in loss says that the function itself changed.
After the mean over seeds comes its 95 % confidence interval (Student's t), then the ends of the percentile bootstrap's,
then the largest absolute difference. ``p t`` and ``p wilcoxon`` are the two-sided p-values of the t test and of
Wilcoxon's signed ranks over seeds; ``holm`` corrects them for the values that one quantity was tested with. ``p
interaction`` with another axis says whether the difference depends on that axis (analysis of variance with the seeds as
blocks, not corrected); where it is small, the mean stands for none of its values. Pairs of which a network died, stuck,
diverged or was not measured are counted as left out. With n seeds no p-value of Wilcoxon's test lies below 2^(1-n).
""",
}

END = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")
START = ("train_loss", "gradient_ratio")  # where they were measured at epoch 0


def table(evidence: Evidence) -> pd.DataFrame:
    """Compare along the axis that the option ``axis`` names, or the only one that has pairs.

    Two cells are a pair if they agree on every other axis, the seed included. Differences of losses at the start tell
    whether the function changed before any training; those of the ratio, whether layers were balanced.

    Returns:
        One row per quantity and value of the axis: the axis; ``baseline``, its first value; ``quantity``; ``at``
        (``start``, ``end``); ``seeds``, over which is tested; ``pairs``; ``left_out``, pairs of which a network died,
        diverged or was not measured; what `gengap.evidence.paired.effect` returns, differences of accuracies in
        percentage points; ``p_interaction_{axis}`` with every other axis. ``p_t_holm`` and ``p_wilcoxon_holm`` are
        corrected for the values that one quantity was tested with at one time.

    Raises:
        UserError: If the study lacks the probe ``performance``, no two cells are a pair, or several axes could be
            meant.
    """
    axis = compared_axis(evidence, evidence.options.get("axis"))
    others = [name for name in evidence.axes if name != axis]
    rows = []
    for at, quantity, values in _measured(evidence):
        tested: list[dict[str, Any]] = []
        for value, baseline, both in pairs(evidence, axis):
            found = (both["cell"].map(values) - both["baseline"].map(values)) * QUANTITIES[quantity].scale
            usable = found.abs() < float("inf")
            differences = both.drop(columns=["cell", "baseline"]).assign(difference=found)[usable]
            seeds = by_seed(differences)
            counts = {"seeds": len(seeds), "pairs": int(usable.sum()), "left_out": int((~usable).sum())}
            key = {axis: value, "baseline": baseline, "quantity": QUANTITIES[quantity].label, "at": at}
            depends = {f"p_interaction_{name}": interaction(differences, name) for name in others}
            tested.append(key | counts | effect(seeds) | depends)
        for test in ("p_t", "p_wilcoxon"):
            for row, corrected in zip(tested, holm(row[test] for row in tested), strict=True):
                row[f"{test}_holm"] = corrected
        rows += tested
    return pd.DataFrame(rows)


def _measured(evidence: Evidence) -> list[tuple[str, str, pd.Series]]:
    """When, what, and the values by name of cell, of those that finished."""
    finished = evidence.finished.set_index("cell")
    for quantity in END:
        if quantity not in finished:
            raise lacking(evidence, quantity, "performance")
    found = [("end", quantity, finished[quantity]) for quantity in END]
    rows = evidence.measurements
    rows = rows[(rows["epoch"] == 0) & (rows["layer"] == "") & rows["cell"].isin(finished.index)]
    for quantity in START:
        own = rows[rows["quantity"] == quantity].drop_duplicates("cell")
        if len(own):
            found.append(("start", quantity, own.set_index("cell")["value"]))
    return found
