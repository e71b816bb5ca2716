"""Early stopping and accuracy of pruned networks against the weights left (Frankle and Carbin 2019; Fig. 19)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from gengap.evidence.early_stopping import early_stops
from gengap.evidence.figures.drawing import handle, legend, note, palette, panels, title, unfinished
from gengap.evidence.figures.groups import description, not_shown, told
from gengap.evidence.intervals import grouped, interval
from gengap.evidence.lottery_arms import KINDS, kind_of
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Epochs to early stopping, and accuracy there and at the end, against the weights left.",
    "needs": ("weights_left", "test_accuracy"),
    "caption": """\
**Winning tickets and their controls** (study ``{{ snakemake.wildcards.study }}``; Frankle and Carbin 2019, Figs. 3 and
4; the survey's Fig. 19). Epoch of the lowest test loss, and test accuracy at that epoch and at the end of each
network's own training, against the weights left: of networks that are pruned round by round and start from their first
weights (tickets), or from those after the first epoch (rewound), of the same masks with fresh weights, of random masks,
and of networks that are pruned at once; kinds with equally many weights stand side by side. Means over seeds, bars
their 95 % confidence intervals (Student's t; of accuracies on the logit scale). *What to look for:* tickets that stop
earlier and are more accurate than the whole network, while their controls are neither.
""",
}

SHOWN = {"early_stop_epoch": "early stop [epoch]", "early_stop_accuracy": "accuracy there [%]"}
SHOWN |= {"test_accuracy": "accuracy at the end [%]"}
COLUMNS = ["network", "kind", "weights_left", "quantity", "n", "mean", "low", "high"]


def data(evidence: Evidence) -> pd.DataFrame:
    """Means with their intervals by network, kind and weights left, which are percentages like accuracies."""
    cells = evidence.finished.join(early_stops(evidence), on="cell")
    rows = []
    for at, part in grouped(cells, evidence.axes):
        found = kind_of(str(at.get("arm", "")))
        if found is None:
            continue
        network, kind, _ = found
        for quantity in SHOWN:
            share = quantity.endswith("accuracy")
            ours, scale = interval(part[quantity], share=share), 100 if share else 1
            ends = (scale * end for end in (ours.mean, *ours.of_mean))
            rows.append((network, KINDS[kind], 100 * part["weights_left"].mean(), quantity, ours.n, *ends))
    return pd.DataFrame(rows, columns=COLUMNS)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One panel per quantity of every network; the whole network stands at 100 %."""
    networks = list(dict.fromkeys(data["network"])) or [""]
    columns = len(networks)
    figure, axes = panels(len(SHOWN), columns, height=5.6, wide=columns > 2)
    colors = palette(kind for kind in KINDS.values() if kind != KINDS["dense"] and kind in set(data["kind"]))
    for place, panel in enumerate(axes):
        quantity, network = list(SHOWN)[place // columns], networks[place % columns]
        own = data[(data["quantity"] == quantity) & (data["network"] == network)]
        whole = own[own["kind"] == KINDS["dense"]]
        for offset, (kind, color) in enumerate(colors.items()):
            line = own[own["kind"] == kind].sort_values("weights_left")
            error = np.nan_to_num([line["mean"] - line["low"], line["high"] - line["mean"]]).clip(min=0)
            beside = line["weights_left"] * 0.985 ** (offset - (len(colors) - 1) / 2)
            panel.errorbar(beside, line["mean"], error, color=color, **_look(kind))
        for level in whole["mean"]:
            panel.axhline(level, color="black", linewidth=0.6, linestyle="--")
        if place % columns == 0:
            panel.set_ylabel(SHOWN[quantity])
        if quantity == "early_stop_epoch":
            panel.set_ylim(bottom=0)  # where Student's interval ends below, no seed can be
        if network and place < columns:
            panel.set_title(network, loc="center", fontsize="small")
        if own.empty and len(evidence.finished):
            note(panel, "no pruned network", alone=False)
    if evidence.finished.empty:
        unfinished(axes, evidence.cells, alone=False)
    _weights_left(axes, data)
    for panel in axes[-columns:]:
        panel.set_xlabel("weights left [%]")
    arms: list[str] = evidence.finished["arm"].astype(str).unique().tolist() if "arm" in evidence.finished else []
    others = not_shown(sum(kind_of(arm) is None for arm in arms), "arm", "neither pruned nor a control")
    title(figure, told(description(evidence.cells, evidence), others, "dashed: the whole network"))
    figure.align_ylabels()
    legend(figure, [handle(kind, color=color, **_look(kind)) for kind, color in colors.items()], below=True)
    return figure


def _look(kind: str) -> dict[str, Any]:
    """Points, joined where each network comes of the one before it."""
    return {"marker": ".", "linestyle": "none" if kind == KINDS["one_shot"] else "-"}


def _weights_left(axes: Sequence[Axes], data: pd.DataFrame) -> None:
    """One logarithmic axis from all weights to few."""
    fewest = float(data["weights_left"].min()) if len(data) else 1.0
    for panel in axes[:1]:
        panel.set_xscale("log")
        panel.set_xlim(115, 0.9 * min(fewest, 90))
    for panel in axes:
        ticks = [tick for tick in (100, 50, 20, 10, 5, 2, 1) if tick > 0.9 * fewest]
        panel.xaxis.set_major_locator(FixedLocator(ticks))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
