"""Samples that are learned first and samples that stay right, on true and random data."""

from typing import Any

import pandas as pd

from gengap.errors import UserError
from gengap.evidence.intervals import interval
from gengap.evidence.measurements import Evidence
from gengap.evidence.sample_errors import FEWEST, LEARNING, starts, staying

PART = {
    "summary": "How unequal training samples are after one epoch, and how many stay right (Arpit 2017).",
    "needs": ("example_error_mean",),
    "caption": """\
**Samples that are learned first** (study ``{{ snakemake.wildcards.study }}``; Arpit et al. 2017). One row per kind of
data. Of many starts after one epoch: the mean share of wrong samples; the spread, the variance over samples of the
share of starts that get them wrong in units of the binomial variance, 1 if all samples are equally hard; samples that
every start gets right, or wrong; the agreement, the correlation over samples of one start's errors with the mean of
the others', 0 if all are equally hard. Of networks that were trained on: the share of samples right after epoch 1, and
of those right then and at every later epoch that was measured. Shares are in percent; ``_low`` and ``_high`` are 95 %
confidence intervals of the mean (Student's t; of shares on the logit scale), those of the agreement over starts that
share their samples, so somewhat too narrow.
""",
}

TAKEN = LEARNING


def table(evidence: Evidence) -> pd.DataFrame:
    """One row per kind of data.

    Raises:
        UserError: If nothing was measured that it shows.
    """
    rows: dict[str, dict[str, Any]] = {}
    for one in starts(evidence):
        low, high = (ours := interval(one.agreement.dropna())).of_mean
        rows.setdefault(one.data, {}).update(
            starts=len(one.cells),
            error=100 * one.error,
            spread=one.spread,
            always_right=100 * float((one.by_sample == 0).mean()),
            always_wrong=100 * float((one.by_sample == 1).mean()),
            agreement=ours.mean,
            agreement_low=low,
            agreement_high=high,
        )
    for data, own in staying(evidence).groupby("data", sort=False):
        row = rows.setdefault(str(data), {})
        row["seeds"] = len(own)
        for name in ("right_after_first", "staying_right"):
            ours = interval(own[name], share=True)
            low, high = ours.of_mean
            row |= {name: 100 * ours.mean, f"{name}_low": 100 * low, f"{name}_high": 100 * high}
    if not rows:
        raise UserError(
            f"study '{evidence.study['name']}': neither {FEWEST} starts after epoch 1 nor networks measured then "
            "and later. Give training.snapshots the epoch 1, or remove 'memorisation' from `tables`."
        )
    return pd.DataFrame([{"data": data, **row} for data, row in rows.items()])
