"""Networks that finished and learned nothing: as good as the best constant answer, and not better.

A network may be useless although its output is not constant: its loss is at the value, and its accuracy at the share,
that the best constant answer has. Averaged with the others, it would move every mean.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, xlogy

from gengap.studies.settings import Cell, Loss

MARGIN = 0.01  # of accuracy above the largest class's share, and of loss below its trivial value, relatively


def trivial_loss(loss: Loss, shares: Mapping[str, float], taught: Mapping[str, float]) -> float:
    """The smallest mean loss of a constant output; NaN of a loss for which it is not known.

    Args:
        loss: Settings of the loss.
        shares: Share of every class in the training labels, in the order of the classes.
        taught: What `trivial_distillation` gives for the teacher's outputs, by temperature; empty without a teacher.
    """
    if loss.name == "distillation":
        return taught.get(str(loss.temperature), math.nan)
    p = np.array([share for share in shares.values() if share > 0])
    if loss.name == "cross_entropy":
        return float(-(p * np.log(p)).sum())
    if loss.name == "squared":
        return float(4 * p[0] * (1 - p[0])) if len(shares) == 2 else float((p * (1 - p)).sum() / len(shares))
    if loss.name == "smooth_hinge" and len(shares) == 2:
        return float(minimize_scalar(_hinge, bounds=(-1, 1), method="bounded", args=(p[0], loss.power)).fun)
    return math.nan


def trivial_distillation(outputs: NDArray[np.floating], temperature: float | None) -> float:
    """The smallest mean loss `distillation` of a constant output.

    Without a temperature, it is the variance of the teacher's outputs, mean over them: the best constant is their mean.
    With one, the best constant has the mean of the teacher's soft classes; a single output t counts as logits (0, t).

    Args:
        outputs: Of the teacher on the training images, ``[N, n_outputs]``.
        temperature: Of the loss; None: squared error.
    """
    outputs = outputs.astype(np.float64)
    if temperature is None:
        return float(outputs.var(axis=0).mean())
    if outputs.shape[1] == 1:
        outputs = np.pad(outputs, ((0, 0), (1, 0)))
    log_p = log_softmax(outputs / temperature, axis=1)
    mean = np.exp(log_p).mean(axis=0)
    return float(temperature**2 * ((np.exp(log_p) * log_p).sum(axis=1).mean() - xlogy(mean, mean).sum()))


def _hinge(output: float, share: float, power: float) -> float:
    """Mean smooth hinge loss of a constant output, for the share of the class -1."""
    return float(share * (1 + output) ** power + (1 - share) * (1 - output) ** power)


def with_stuck(
    cells: pd.DataFrame,
    settings: Mapping[str, Cell],
    shares: Mapping[str, Mapping[str, float]],
    taught: Mapping[str, Mapping[str, float]],
) -> pd.DataFrame:
    """Give the status ``stuck`` to finished cells that are as good as a constant answer.

    Args:
        cells: Table with ``cell``, ``status``, and ``train_accuracy`` and ``train_loss``, where they were measured.
        settings: Every cell by its name.
        shares: For every cell, the share of each class in its training labels; empty where it is not known.
        taught: For every cell with a teacher, the trivial losses by temperature; see `trivial_distillation`.

    Returns:
        The table. A cell is stuck if its train accuracy is less than a percentage point above the largest class's share
        and its train loss less than 1 % below the trivial value, see `trivial_loss`.
    """
    if not {"train_accuracy", "train_loss"} <= set(cells):
        return cells
    stuck = []
    for row in cells.to_dict("records"):
        own, cell = shares.get(row["cell"], {}), settings[row["cell"]]
        trivial = trivial_loss(cell.loss, own, taught.get(row["cell"], {})) if own else math.nan
        stuck.append(
            row["status"] == "finished"
            and not math.isnan(trivial)
            and row["train_accuracy"] < max(own.values()) + MARGIN
            and row["train_loss"] > (1 - MARGIN) * trivial
        )
    return cells.assign(status=cells["status"].mask(pd.Series(stuck, index=cells.index, dtype=bool), "stuck"))
