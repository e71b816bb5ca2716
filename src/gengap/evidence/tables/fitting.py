"""Whether networks fit data that mean nothing, how long it takes, and the errors."""

from typing import Any

import pandas as pd

from gengap.evidence.derived import INTERPOLATION
from gengap.evidence.intervals import grouped, summary
from gengap.evidence.measurements import Evidence, lacking
from gengap.evidence.random_data import with_data
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Epochs to interpolation and errors on true and random data, over seeds (Zhang 2017).",
    "needs": ("train_accuracy", "test_accuracy"),
    "caption": """\
**Fitting true and random data** (study ``{{ snakemake.wildcards.study }}``; Zhang et al. 2017, Table 1). One row per
network and kind of data: how many finished seeds classified every training sample correctly after some epoch, the
first such epoch, the mean over those seeds alone, and the errors at the end in percent, over all finished seeds. In
the CSV ``_low`` and ``_high`` are 95 % confidence intervals (Student's t; of errors on the logit scale). Test images
are permuted, or replaced by noise, as the training images are, and keep their true labels. Dead, stuck and diverged
networks are counted and enter no mean.
""",
}


def table(evidence: Evidence) -> pd.DataFrame:
    """One row per network and kind of data, in the grid's order.

    Raises:
        UserError: If the study lacks the probe ``performance``.
    """
    if "test_error" not in evidence.cells:
        raise lacking(evidence, "test_error", "performance")
    rows = []
    for at, cells in grouped(with_data(evidence), ["network", "data"]):
        row: dict[str, Any] = {**at, "seeds": int((cells["status"] == "finished").sum())}
        for quantity in (INTERPOLATION, "train_error", "test_error"):
            found, scale = summary(cells, quantity), QUANTITIES[quantity].scale
            if quantity == INTERPOLATION:
                row |= {word: found[f"n_{word}"] for word in ("dead", "stuck", "diverged")}
                row["interpolating"] = found["n"]
            row |= {
                quantity: scale * found["mean"],
                f"{quantity}_low": scale * found["mean_low"],
                f"{quantity}_high": scale * found["mean_high"],
            }
        rows.append(row)
    return pd.DataFrame(rows)
