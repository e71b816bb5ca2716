"""Every value of one axis against its first: paired differences with intervals and tests (Song 2019, chapter 4)."""

from typing import Any

import pandas as pd

from gengap.errors import UserError
from gengap.evidence.measurements import Evidence, lacking
from gengap.evidence.paired import compared_axis, effect, holm, pairs
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Every value of one axis, `init` if it varies, against its first: paired differences and tests.",
    "needs": (
        "train_accuracy",
        "test_accuracy",
        "train_loss",
        "test_loss",
    ),
    "caption": """\
**Paired effects** (study ``{{ snakemake.wildcards.study }}``). Every value of one axis of the grid (``init`` if it
varies) against its first value, the column ``baseline``: means of the differences over pairs of networks that agree on
everything else, the seed included. Accuracies are in percentage points; ``at`` says whether the networks were measured
at the ``end`` or at the ``start``, before any training, where a difference in loss says that the function itself
changed. After the mean comes its 95 % confidence interval (Student's t), then the ends of the percentile bootstrap's,
then the largest absolute difference. ``p t`` and ``p wilcoxon`` are the two-sided p-values of the paired t test and of
Wilcoxon's signed ranks; ``holm`` corrects them for the values that one quantity was tested with. Pairs of which a
network died, diverged or was not measured are counted as left out. With n pairs no p-value of Wilcoxon's test lies
below 2^(1-n).
""",
}

END = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")
START = ("train_loss", "gradient_ratio")  # where they were measured at epoch 0


def table(evidence: Evidence) -> pd.DataFrame:
    """Compare along the axis ``init`` if the study varies it, else along its first axis that has pairs.

    Two cells are a pair if they agree on every other axis, the seed included. Differences of losses at the start tell
    whether the function changed before any training; those of the ratio, whether layers were balanced.

    Returns:
        One row per quantity and value of the axis: the axis; ``baseline``, its first value; ``quantity``; ``at``
        (``start``, ``end``); ``pairs``; ``left_out``, pairs of which a network died, diverged or was not measured; and
        what `gengap.evidence.paired.effect` returns, differences of accuracies in percentage points. ``p_t_holm`` and
        ``p_wilcoxon_holm`` are corrected for the values that one quantity was tested with at one time.

    Raises:
        UserError: If the study lacks the probe ``performance``, or no two cells are a pair.
    """
    axis = compared_axis(evidence)
    if not axis:
        raise UserError(
            f"study '{evidence.study['name']}': no two cells differ in only one axis (the seed left out). Give an axis "
            "of `grid` several values, such as init: [he, xavier], or remove 'paired_effects' from `tables`."
        )
    rows = []
    for at, quantity, values in _measured(evidence):
        scale = QUANTITIES[quantity].scale
        tested: list[dict[str, Any]] = []
        for value, baseline, both in pairs(evidence, axis):
            found = (both["cell"].map(values) - both["baseline"].map(values)) * scale
            usable = found[found.abs() < float("inf")]
            counts = {"pairs": len(usable), "left_out": len(found) - len(usable)}
            key = {axis: value, "baseline": baseline, "quantity": QUANTITIES[quantity].label, "at": at}
            tested.append(key | counts | effect(usable.tolist()))
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
