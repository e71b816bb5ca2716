"""Final errors, losses and the L2 penalty of every group of cells, over seeds (Oyedotun et al., Tables 1 to 11)."""

import pandas as pd

from gengap.evidence.measurements import Evidence
from gengap.evidence.tables.over_seeds import over_seeds

PART = {
    "summary": "Final errors, losses, the L2 penalty and their sums, over seeds.",
    "needs": (
        "train_accuracy",
        "test_accuracy",
        "train_loss",
        "test_loss",
    ),
    "caption": """\
**Final errors, losses and L2 penalty** (study ``{{ snakemake.wildcards.study }}``; after Oyedotun et al., Tables 1 to
11). One row per group of networks that differ only in their seed: means over the finished seeds at the last measured
epoch, errors in percent. The losses are the mean data losses only, the L2 penalty is d/2 |θ|² with the weight decay d,
and the objectives are their sums: the source's printed losses are too large beside its errors to be data losses alone,
and may be these sums. In brackets is the 95 % confidence interval of the mean (Student's t; in the CSV ``_low`` and
``_high``). Dead, stuck and diverged networks are counted and enter no mean. BatchNorm uses the mode of the probe
``performance``. *What to look for:* whether the loss rises with the batch size by itself, or only together with the
penalty, which fewer steps leave larger.
""",
}

SHOWN = (
    *("train_error", "test_error", "train_loss", "test_loss"),
    *("l2_penalty", "train_objective", "test_objective"),
)


def table(evidence: Evidence) -> pd.DataFrame:
    """Losses, penalty and their sums over the finished seeds; see `gengap.evidence.tables.over_seeds.over_seeds`.

    Raises:
        UserError: If the study lacks the probe ``performance`` at the epochs that training recorded.
    """
    return over_seeds(evidence, SHOWN, "performance")
