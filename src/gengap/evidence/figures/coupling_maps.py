"""Heat maps of the couplings between teacher and student nodes, before and after training (Luck Matters, Fig. 10)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gengap.evidence.figures.drawing import title, unfinished, width
from gengap.evidence.figures.groups import description, labelled
from gengap.evidence.measurements import Evidence, lacking
from gengap.evidence.words import selected

PART = {
    "summary": "Heat maps of H* and beta* before and after training.",
    "needs": ("coupling", "gated_coupling", "node_correlation"),
    "caption": """\
**Couplings between teacher and student nodes** (study ``{{ snakemake.wildcards.study }}``; after Tian et al. 2019, Fig.
10). Of the first network that finished: beta* and H* of every hidden layer before and after training, in units of the
largest size in the panel. Rows are teacher nodes; columns are student nodes: first, for each teacher node in order, the
student that correlates most with it after training, then, right of the line, as many of the others, in the order of
their best correlation. *What to look for:* a diagonal in the left half that appears with training and is sharper in H*
than in beta*, and nothing in the right half.
""",
}

MAPS = {"coupling": r"$\beta^*$", "gated_coupling": "$H^*$"}
RHO = "node_correlation"
COLUMNS = ["layer", "epoch", "quantity", "teacher_node", "column", "student_node", "value"]


def data(evidence: Evidence) -> pd.DataFrame:
    """One row per entry drawn, in units of the largest size of its map, to three digits.

    Raises:
        UserError: If the study lacks ``backward_coupling`` or ``node_correlation``.
    """
    for quantity, probe in ((RHO, RHO), ("coupling", "backward_coupling")):
        if not evidence.arrays(quantity):
            raise lacking(evidence, quantity, probe)
    shown = shown_cell(evidence)
    orders = {layer: _order(maps[max(maps)]) for layer, maps in _maps(evidence, RHO, shown).items()}
    rows: list[tuple[Any, ...]] = []
    for quantity in MAPS:
        for layer, maps in _maps(evidence, quantity, shown).items():
            for epoch in sorted({min(maps), max(maps)}):
                values = maps[epoch][:, orders[layer]]
                values = values / max(np.abs(values).max(), np.finfo(float).tiny)
                for node, column in np.ndindex(*values.shape):
                    key = layer, epoch, quantity, node, column, int(orders[layer][column])
                    rows.append((*key, round(float(values[node, column]), 3)))
    return pd.DataFrame(rows, columns=COLUMNS)


def shown_cell(evidence: Evidence) -> str:
    """Name of the first network that finished and was measured; empty if none did."""
    known = {cell for array in evidence.arrays("coupling") for cell in array.rows["cell"]}
    return next((str(cell) for cell in evidence.finished["cell"] if cell in known), "")


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """A row per quantity and epoch, a column per layer."""
    layers = list(dict.fromkeys(data["layer"])) or [""]
    rows = list(dict.fromkeys(zip(data["quantity"], data["epoch"], strict=True))) or [("", 0.0)]
    figure = Figure(figsize=(width(wide=len(layers) > 2), 0.8 + 0.9 * len(rows)))
    axes = list(figure.subplots(len(rows), len(layers), squeeze=False).flat)
    if data.empty:
        unfinished(axes, evidence.cells)
    image = None
    for place, panel in enumerate(axes if len(data) else []):
        (quantity, epoch), layer = rows[place // len(layers)], layers[place % len(layers)]
        own = data[(data["quantity"] == quantity) & (data["epoch"] == epoch) & (data["layer"] == layer)]
        values = own.pivot_table(index="teacher_node", columns="column", values="value").to_numpy()
        image = panel.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", interpolation="none")
        panel.axvline(values.shape[0] - 0.5, color="black", linewidth=0.6)
        panel.grid(visible=False)
        panel.tick_params(which="both", left=False, bottom=False, labelleft=False, labelbottom=False)
        if layer == layers[0]:
            panel.set_ylabel(f"{MAPS[quantity]}, epoch {epoch:g}\nteacher node", fontsize="small")
        if place < len(layers):
            panel.set_title(f"layer {place + 1}", loc="center", fontsize="small")
        if place >= len(layers) * (len(rows) - 1):
            panel.set_xlabel("student node", fontsize="small")
    if image is not None:
        figure.colorbar(image, ax=axes, shrink=0.6, label="coupling over its largest")
    one = f"shown: {selected(shown_cell(evidence))}; " if len(data) else ""
    title(figure, one + description(labelled(evidence), evidence))
    return figure


def _maps(evidence: Evidence, quantity: str, cell: str) -> dict[str, dict[float, NDArray[Any]]]:
    """A network's arrays ``[teacher nodes, student nodes]`` by layer and epoch."""
    found: dict[str, dict[float, NDArray[Any]]] = {}
    for array in evidence.arrays(quantity):
        for (name, epoch), values in zip(array.rows.itertuples(index=False), array.values, strict=True):
            if name == cell:
                found.setdefault(array.layer, {})[float(epoch)] = values
    return found


def _order(rho: NDArray[Any]) -> NDArray[np.int64]:
    """Columns: each teacher node's best student, then as many of the other students, best first."""
    winners = rho.argmax(axis=1)
    others = [student for student in np.argsort(-rho.max(axis=0), kind="stable") if student not in winners]
    return np.array([*winners, *others[: len(winners)]], dtype=np.int64)
