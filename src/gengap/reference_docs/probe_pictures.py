"""The small pictures of `docs/probes.md`, one per probe, from a study that measured them all.

Run ``snakemake every_probe``, then ``python -m gengap.reference_docs.probe_pictures results/every_probe docs/probes``.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gengap.evidence import measurements as evidences
from gengap.evidence.figures import STYLE
from gengap.evidence.figures.drawing import band, epochs, handles, legend, note, palette
from gengap.evidence.measurements import Evidence
from gengap.files import storage
from gengap.quantities import QUANTITIES

# What stands for a probe: one of its quantities, and for a curve the quantity along its horizontal axis.
SHOWN: dict[str, tuple[str, str]] = {
    "performance": ("test_accuracy", ""),
    "gradient": ("gradient_norm", ""),
    "distance": ("distance_from_start", ""),
    "norms": ("path_norm", ""),
    "margin": ("margin_median", ""),
    "near_rank": ("singular_values", ""),
    "batchnorm_bias": ("negative_bias_share", ""),
    "layer_reset": ("test_error_after_reset", "reset_epoch"),
    "landscape": ("effective_smoothness", ""),
    "gradient_noise": ("gradient_noise_scale", ""),
    "node_correlation": ("best_node_correlation", ""),
    "backward_coupling": ("gated_coupling_contrast", ""),
    "hessian_spectrum": ("hessian_eigenvalues", ""),
    "hessian_extremes": ("hessian_density", "hessian_density_at"),
    "sharpness": ("sharpness", ""),
    "path": ("train_loss_along_path", "path_position"),
}
SCALES = {
    "singular_values": "log",
    "hessian_eigenvalues": "symlog",
    "hessian_density": "symlog",
    "train_loss_along_path": "log",
    "gradient_norm": "log",
}
# Of the many modes of an activation tensor, the channels.
_LAYERS = {"singular_values": ("mode=channel", "mode=matrix")}


def draw(evidence: Evidence, probe: str) -> Figure:
    """The picture of one probe: over epochs, over layers, or the array of one network of each width."""
    quantity, along = SHOWN[probe]
    figure = Figure(figsize=(3.4, 2.0))
    axes = figure.subplots()
    widths = evidence.cells.set_index("cell")["width"]
    colors = palette(f"width {width}" for width in sorted(set(widths)))
    rows = evidence.measurements[
        (evidence.measurements["quantity"] == quantity) & (evidence.measurements["probe"] == probe)
    ].assign(group=lambda table: [f"width {widths[cell]}" for cell in table["cell"]])
    if rows.empty:
        colors = _arrays(axes, evidence, probe, quantity, along, widths, colors)
    elif rows["layer"].nunique() > 1 and (rows["layer"] != "").all():
        _over_layers(axes, rows, colors)
    else:
        _over_epochs(axes, rows[rows["layer"] == rows["layer"].min()], colors)
    axes.set_title(QUANTITIES[quantity].axis, loc="left", fontsize="small")
    if quantity in SCALES:
        axes.set_yscale(SCALES[quantity], **({"linthresh": 1e-2} if SCALES[quantity] == "symlog" else {}))
    legend(figure, handles(colors), below=True)
    return figure


def _over_epochs(axes: Axes, rows: pd.DataFrame, colors: dict[str, str]) -> None:
    """Mean and range over seeds against the epoch."""
    scale = QUANTITIES[str(rows["quantity"].iloc[0])].scale
    found = rows.assign(value=rows["value"] * scale).groupby(["group", "epoch"])["value"]
    curves = found.agg(["size", "mean", "min", "max"]).reset_index().rename(columns={"size": "n"})
    for group, color in colors.items():
        band(axes, curves[curves["group"] == group], color, dots=True)
    epochs(axes, rows["epoch"])
    axes.set_xlabel("epoch")


def _over_layers(axes: Axes, rows: pd.DataFrame, colors: dict[str, str]) -> None:
    """Every seed's value in every layer, at the last epoch."""
    rows = rows[rows["epoch"] == rows["epoch"].max()]
    layers = list(dict.fromkeys(rows["layer"]))
    scale = QUANTITIES[str(rows["quantity"].iloc[0])].scale
    for place, (group, color) in enumerate(colors.items()):
        points = rows[rows["group"] == group]
        x = points["layer"].map(layers.index).to_numpy() + 0.15 * (place - (len(colors) - 1) / 2)
        axes.plot(x, points["value"] * scale, "o", color=color, markersize=3)
    axes.set_xticks(range(len(layers)), layers, rotation=20, ha="right", fontsize="x-small")


def _arrays(
    axes: Axes, evidence: Evidence, probe: str, quantity: str, along: str, widths: pd.Series, colors: dict[str, str]
) -> dict[str, str]:
    """The last array of the first network of every width; of several layers, one line each for the narrowest."""
    endings = _LAYERS.get(quantity, ("",))
    found = [array for array in evidence.arrays(quantity) if array.probe == probe and array.layer.endswith(endings)]
    positions = evidence.arrays(along) if along else []
    narrowest = min(widths)
    by_layer = len({array.layer for array in found}) > 1
    layers = [array.layer for array in found if widths[array.rows["cell"].iloc[0]] == narrowest]
    drawn = palette(dict.fromkeys(layers)) if by_layer else colors
    for array in found:
        width = widths[array.rows["cell"].iloc[0]]
        if by_layer and width != narrowest:
            continue
        row = int(array.rows.index[array.rows["cell"] == array.rows["cell"].iloc[0]][-1])
        values = array.values[row].reshape(-1, array.values.shape[-1])[0] * QUANTITIES[quantity].scale
        x = np.arange(1, len(values) + 1)
        if along:
            x = next(one.values[row] for one in positions if one.rows.equals(array.rows))
        axes.plot(x, values, color=drawn[array.layer if by_layer else f"width {width}"], marker=".", markersize=2)
    if not found:
        note(axes, f"{quantity} was not measured")
    axes.set_xlabel(QUANTITIES[along].axis if along else found[0].dims[-1].replace("_", " ") if found else "")
    return drawn


def main(results: Path, folder: Path) -> None:
    """Write ``<probe>.png`` of every probe into a folder."""
    found = evidences.read(results / "measurements.h5")
    with mpl.style.context(STYLE):
        for probe in SHOWN:
            with storage.beside(folder / f"{probe}.png") as temporary:
                draw(found, probe).savefig(temporary, format="png", dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
