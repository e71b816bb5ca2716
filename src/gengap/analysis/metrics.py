"""A study in a few numbers: what is compared from one version of the results to the next."""

from typing import Any

import pandas as pd

from gengap.analysis.evidence import Evidence
from gengap.analysis.verdicts import AGREES, DISAGREES, NOT_COMPARABLE

BEST = {"train_accuracy": max, "test_accuracy": max, "train_loss": min, "test_loss": min}


def metrics(evidence: Evidence, verdicts: pd.DataFrame) -> dict[str, Any]:
    """Count cells and verdicts, and note the best final values.

    Args:
        evidence: The study's measurements.
        verdicts: What `gengap.analysis.verdicts.judge` returned.

    Returns:
        ``cells``: how many per status; ``verdicts``: how many per verdict; ``best``: the best final value over the
        finished cells of each quantity that was measured, shares as fractions.
    """
    status = evidence.cells["status"]
    finished = evidence.finished
    return {
        "cells": {name: int((status == name).sum()) for name in ("finished", "diverged", "dead")},
        "verdicts": {name: int((verdicts["verdict"] == name).sum()) for name in (AGREES, DISAGREES, NOT_COMPARABLE)},
        "best": {
            name: round(float(choose(finished[name].dropna())), 6)
            for name, choose in BEST.items()
            if name in finished and finished[name].notna().any()
        },
    }
