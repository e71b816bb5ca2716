"""Final errors, losses and the L2 penalty of every group of cells, over seeds (Oyedotun et al., Tables 1 to 11)."""

import pandas as pd

from gengap.evidence.measurements import Evidence
from gengap.evidence.tables.over_seeds import over_seeds

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
