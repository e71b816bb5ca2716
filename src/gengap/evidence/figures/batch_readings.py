"""Small minus large batches' test accuracy in four readings, and under a learning rate that follows the batch."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.equal_readings import READINGS, by_rate, readings
from gengap.evidence.figures.drawing import GREY, handles, legend, palette, panels, title
from gengap.evidence.figures.groups import described_pairs
from gengap.evidence.intervals import interval
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Test accuracy of small minus large batches at equal epochs, updates, distance and train loss.",
    "varies": {"training.batch_size": 2},
    "needs": ("distance_from_start", "train_loss", "test_accuracy"),
    "caption": """\
**Small batches win by what?** (study ``{{ snakemake.wildcards.study }}``). Test accuracy of small minus that of large
batches [percentage points], read after as many epochs, after as many updates, at the same distance from the start,
and at the same train loss: each at the largest value that both have reached. Colours tell by how much the learning
rate of the large batches exceeds that of the small ones. Points are means over seeds, bars their 95 % confidence
intervals (Student's t); pairs share the seed, and so their first weights. *What to look for:* a gap at equal epochs
that is gone at equal updates comes of too few updates.
""",
}

_POINTS: dict[str, Any] = {"marker": "o", "markersize": 3, "linestyle": "none"}
COLUMNS = ["optimizer", "reading", "rate", "n", "mean", "low", "high"]


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean difference in percentage points with its interval, by optimiser, reading and ratio of the rates."""
    rows = []
    for optimizer, reading, rate, part in by_rate(readings(evidence)):
        ours = interval(100 * part["difference"])
        rows.append((optimizer, reading, rate, ours.n, ours.mean, *ours.of_mean))
    return pd.DataFrame(rows, columns=COLUMNS)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One panel per optimiser; readings side by side."""
    optimizers = list(dict.fromkeys(data["optimizer"]))
    figure, axes = panels(max(1, len(optimizers)), height=1.4 + 1.5 * max(1, len(optimizers)))
    colors = palette(_words(rate) for rate in sorted(data["rate"].unique()))
    for panel, optimizer in zip(axes, optimizers, strict=False):
        own = data[data["optimizer"] == optimizer]
        rates = sorted(own["rate"].unique())
        for place, rate in enumerate(rates):
            part = own[own["rate"] == rate].set_index("reading").loc[list(READINGS)]
            x = np.arange(len(READINGS)) + 0.15 * (place - (len(rates) - 1) / 2)
            error = np.nan_to_num([part["mean"] - part["low"], part["high"] - part["mean"]])
            panel.errorbar(x, part["mean"], error, color=colors[_words(rate)], **_POINTS)
        panel.axhline(0, color=GREY, linewidth=0.6)
        panel.set_title(
            optimizer.upper() if optimizer == "sgd" else optimizer.capitalize(), loc="center", fontsize="small"
        )
        panel.set_xticks(range(len(READINGS)), [f"equal\n{name}" for name in READINGS])
        panel.grid(visible=False, axis="x")
        panel.set_ylabel("small - large [points]")
    title(figure, described_pairs(data["n"], evidence.cells))
    legend(figure, handles(colors, **_POINTS), below=True)
    return figure


def _words(rate: float) -> str:
    return "same rate" if abs(rate - 1) < 1e-9 else f"rate x {rate:.3g}"
