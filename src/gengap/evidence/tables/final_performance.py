"""Final accuracies and losses of every group of cells, over seeds (Song 2019, Table 4.1)."""

import pandas as pd

from gengap.evidence.measurements import Evidence
from gengap.evidence.tables.over_seeds import over_seeds

SHOWN = tuple(
    f"{split}_{measure}" for measure in ("accuracy", "balanced_accuracy", "loss") for split in ("train", "test")
)


def table(evidence: Evidence) -> pd.DataFrame:
    """Means over the finished seeds; see `gengap.evidence.tables.over_seeds.over_seeds`.

    Raises:
        UserError: If the study lacks the probe ``performance``.
    """
    return over_seeds(evidence, SHOWN, "performance")
