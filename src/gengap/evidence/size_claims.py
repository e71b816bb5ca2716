"""Claims on networks of several widths: larger ones generalise better, and go on doing so after the data are fitted."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import SEED, Evidence

Effect = tuple[str, str, dict[str, Any], pd.Series]
WIDTH = "width"


def effects(evidence: Evidence) -> Iterator[Effect]:
    """Judge studies whose only axis is the width."""
    if evidence.axes != (WIDTH,) or "test_error" not in evidence.cells or evidence.history.empty:
        return
    cells = evidence.finished.assign(**{WIDTH: pd.to_numeric(evidence.finished[WIDTH])})
    by_width = {int(at[WIDTH]): own.set_index(SEED) for at, own in grouped(cells.sort_values(WIDTH), [WIDTH])}
    small = by_width[min(by_width)]
    fitted = _error_when_fitted(evidence)
    for width, own in by_width.items():
        words = "test error when the train error is first 0, minus at the end"
        where = {"filters or units": width}
        yield (
            "the test error falls after all training images are fitted",
            words,
            where,
            own["cell"].map(fitted) - own["test_error"],
        )
        if own is not small:
            gain = small["test_error"] - own["test_error"]
            words = f"test error at the end, width {min(by_width)} minus width {width}"
            yield "larger networks generalise better", words, where, gain


def _error_when_fitted(evidence: Evidence) -> "pd.Series[float]":
    """Test error at the first recorded epoch with a train accuracy of 1, by cell; cells without one are left out."""
    wide = evidence.history.pivot_table(index=["cell", "epoch"], columns="quantity", values="value").reset_index()
    first = wide[wide["train_accuracy"] == 1].sort_values("epoch").drop_duplicates("cell").set_index("cell")
    return 1 - first["test_accuracy"]
