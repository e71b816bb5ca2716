"""Small against large batches, compared after as many epochs, updates, at the same distance, at the same train loss."""

import math

import numpy as np
import pandas as pd

from gengap.errors import UserError
from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import SEED, Evidence

BATCH_SIZE, OPTIMIZER, RATE = "batch_size", "optimizer", "lr"
CURVES = ("test_accuracy", "train_loss", "distance_from_start")
READINGS = ("epochs", "updates", "distance", "train loss")
COLUMNS = ["cell", "baseline", "optimizer", "rate", "seed", "reading", "at", "small", "large", "difference"]


def readings(evidence: Evidence) -> pd.DataFrame:
    """Test accuracies of small and of large batches in four readings, of pairs of finished cells of one seed.

    Each reading is taken at the largest value that both have reached: of epochs, of updates, of distance from the
    start, and of the fall of the train loss. Between two checkpoints, the accuracy is interpolated along a straight
    line, at a train loss in its logarithm; a distance or a loss counts where it was first reached.

    Returns:
        One row per optimiser, learning rate of the large batches, seed and reading: ``cell`` and ``baseline``, names of
        the cells of large and of small batches; ``rate``, the ratio of their learning rates; ``at``, where the reading
        was taken (updates as epochs per sample of a batch); ``small``, ``large`` and ``difference``, small minus large.

    Raises:
        UserError: If the study lacks two batch sizes, or what the readings are made of.
    """
    cells, rows = evidence.cells, evidence.measurements
    rows = rows[(rows["layer"] == "") & rows["quantity"].isin(CURVES)]
    sizes = pd.to_numeric(cells[BATCH_SIZE], errors="coerce") if BATCH_SIZE in cells else pd.Series(dtype=float)
    if sizes.nunique() != 2 or set(rows["quantity"]) != set(CURVES):
        raise UserError(
            f"study '{evidence.study['name']}': readings need two batch sizes and the probes performance and distance "
            "at several epochs."
        )
    cells = cells.assign(
        **{name: cells[name] if name in cells else evidence.study["fixed"].get(name) for name in (OPTIMIZER, RATE)}
    )
    finished = cells["status"] == "finished"
    small, large = (cells[finished & (sizes == size)] for size in (sizes.min(), sizes.max()))
    pairs = large.merge(small, on=[OPTIMIZER, SEED], suffixes=("", "_small"))
    curves = {
        str(name): part.pivot_table(index="epoch", columns="quantity", values="value")
        for name, part in rows.groupby("cell")
    }
    found = []
    for pair in pairs.to_dict("records"):
        rate = float(pair[RATE]) / float(pair[f"{RATE}_small"])
        both = (curves[pair["cell_small"]], sizes.min()), (curves[pair["cell"]], sizes.max())
        own = [_progress(curve.sort_index(), size) for curve, size in both]
        for reading in READINGS:
            at = min(float(curve[reading].max()) for curve in own)
            low, high = (_accuracy(curve, reading, at) for curve in own)
            names = (pair["cell"], pair["cell_small"], pair[OPTIMIZER], rate, pair[SEED])
            found.append((*names, reading, math.exp(-at) if reading == "train loss" else at, low, high, low - high))
    return pd.DataFrame(found, columns=COLUMNS)


def by_rate(table: pd.DataFrame) -> list[tuple[str, str, float, pd.DataFrame]]:
    """Rows by optimiser, reading and ratio of the rates, in this order."""
    groups = grouped(table.sort_values(["optimizer", "rate"], kind="stable"), ["optimizer", "reading", "rate"])
    return [(str(at["optimizer"]), str(at["reading"]), float(at["rate"]), part) for at, part in groups]


def _progress(curve: pd.DataFrame, batch_size: float) -> pd.DataFrame:
    """One cell's accuracy beside what each reading goes by, which only grows."""
    epochs = curve.index.to_numpy(dtype=float)
    grows = {
        "epochs": epochs,
        "updates": epochs / batch_size,
        "distance": curve["distance_from_start"].to_numpy(),
        "train loss": -np.log(np.maximum(curve["train_loss"].to_numpy(), 1e-300)),
    }
    progress = {name: np.maximum.accumulate(values) for name, values in grows.items()}
    return pd.DataFrame({**progress, "accuracy": curve["test_accuracy"].to_numpy()})


def _accuracy(curve: pd.DataFrame, reading: str, at: float) -> float:
    """The test accuracy where `at` was first reached."""
    values, accuracy = curve[reading].to_numpy(), curve["accuracy"].to_numpy()
    after = int(np.argmax(values >= at * (1 - 1e-12) if at > 0 else values >= at))
    if after == 0 or values[after] == values[after - 1]:
        return float(accuracy[after])
    share = min(1.0, (at - values[after - 1]) / (values[after] - values[after - 1]))
    return float(accuracy[after - 1] + share * (accuracy[after] - accuracy[after - 1]))
