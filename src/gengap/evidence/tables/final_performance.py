"""Final accuracies and losses of every group of cells, over seeds (Song 2019, Table 4.1)."""

import pandas as pd

from gengap.evidence.measurements import Evidence
from gengap.evidence.tables.over_seeds import over_seeds

PART = {
    "summary": "Final losses and accuracies, over seeds.",
    "needs": (
        "train_accuracy",
        "test_accuracy",
        "train_balanced_accuracy",
        "test_balanced_accuracy",
        "train_loss",
        "test_loss",
    ),
    "caption": """\
**Final losses and accuracies** (study ``{{ snakemake.wildcards.study }}``; after Song 2019, Table 4.1). One row per
group of networks that differ only in their seed: means over the finished seeds at the last measured epoch, accuracies
in percent. In brackets is the 95 % confidence interval of the mean (Student's t; in the CSV ``_low`` and ``_high``): of
accuracies on the logit scale, so that none leaves 0 to 100 %; of a loss near 0 it can reach below 0. Dead, stuck and
diverged networks are counted and enter no mean. Balanced accuracy is the mean over classes of the accuracy within a
class: where it equals accuracy, lopsided classes do not explain the number. BatchNorm uses the mode of the probe
``performance``. The same table is beside this file as CSV, Markdown and LaTeX.
""",
}

SHOWN = tuple(
    f"{split}_{measure}" for measure in ("accuracy", "balanced_accuracy", "loss") for split in ("train", "test")
)


def table(evidence: Evidence) -> pd.DataFrame:
    """Means over the finished seeds; see `gengap.evidence.tables.over_seeds.over_seeds`.

    Raises:
        UserError: If the study lacks the probe ``performance``.
    """
    return over_seeds(evidence, SHOWN, "performance")
