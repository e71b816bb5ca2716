"""Claims of theory, checked on small networks: rates of wide networks, and paths between minima."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import SEED, Evidence

Effect = tuple[str, str, dict[str, Any], pd.Series]
WIDTH = "width"
_STRAIGHT = 0.99  # R^2 from which a curve counts as a straight line


def effects(evidence: Evidence) -> Iterator[Effect]:
    """Judge what was simulated of Du et al. (2019) and Nguyen (2019)."""
    if WIDTH not in evidence.axes:
        return
    if "rate_over_bound" in evidence.cells:
        yield from _rates(evidence)
    if "path_barrier" in evidence.cells:
        yield from _paths(evidence)


def _rates(evidence: Evidence) -> Iterator[Effect]:
    for at, cells in grouped(evidence.finished, [WIDTH]):
        own = cells.set_index(SEED)
        words = "least mean rate from the start to any step, over the guaranteed one, minus 1"
        yield "gradient descent converges linearly, as guaranteed", words, at, own["least_rate_over_bound"] - 1
        straight = own["loss_linearity"] - _STRAIGHT
        words = f"R^2 of the log loss over the second half, minus {_STRAIGHT:g}"
        yield "the log loss ends as a straight line", words, at, straight
    shown = {
        "convergence_rate": ("the rate grows with the width", "slope of log rate over log width", 1),
        "largest_drift": ("weights move less the wider the layer", "minus the slope of log drift over log width", -1),
    }
    for quantity, (claim, words, sign) in shown.items():
        yield claim, words, {}, sign * _slopes(evidence.finished, quantity)


def _paths(evidence: Evidence) -> Iterator[Effect]:
    for at, cells in grouped(evidence.finished, [WIDTH]):
        own = cells.set_index(SEED)
        yield (
            "a path below the loss connects two minima",
            "share of connected pairs minus 0.5",
            at,
            own["connected"] - 0.5,
        )
        lower = own["line_barrier"] - own["path_barrier"]
        yield "the path is lower than the line", "barrier on the line minus barrier on the path", at, lower


def _slopes(cells: pd.DataFrame, quantity: str) -> "pd.Series[float]":
    """Slope of the logarithm of a quantity over that of the width, by seed."""
    found = {}
    for seed, own in cells.groupby(SEED):
        x, y = (np.log(pd.to_numeric(own[name]).to_numpy(dtype=float)) for name in (WIDTH, quantity))
        if len(x) > 1:
            found[seed] = float(np.polyfit(x, y, 1)[0])
    return pd.Series(found, dtype=float)
