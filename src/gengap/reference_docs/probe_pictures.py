"""The small pictures of `docs/probes.md`, one per probe, from a study that measured them all.

What a picture shows is declared in the probe's header. ``make docs`` makes those that are missing.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gengap import layout, registry
from gengap.errors import UserError
from gengap.evidence import measurements as evidences
from gengap.evidence.collect import collect
from gengap.evidence.figures import STYLE, save
from gengap.evidence.figures.drawing import band, epochs, handles, legend, note, palette
from gengap.evidence.measurements import Evidence
from gengap.quantities import QUANTITIES
from gengap.registry.entry import Picture
from gengap.studies.packing import packs
from gengap.studies.study import Study

_POINTS: dict[str, Any] = {"marker": "o", "markersize": 3, "linestyle": "none"}


def draw(evidence: Evidence, probe: str) -> Figure:
    """The picture of one probe: over epochs, over layers, or the array of one network of each width."""
    picture = registry.check("probe", probe).picture
    if picture is None:
        raise UserError(f"{registry.check('probe', probe).path}: PART: picture: is missing.")
    quantity = picture.quantity
    figure = Figure(figsize=(3.4, 2.0))
    axes = figure.subplots()
    widths = evidence.cells.set_index("cell")["width"]
    colors = palette(f"width {width}" for width in sorted(set(widths)))
    rows = evidence.measurements[
        (evidence.measurements["quantity"] == quantity) & (evidence.measurements["probe"] == probe)
    ].assign(group=lambda table: [f"width {widths[cell]}" for cell in table["cell"]])
    look: dict[str, Any] = {}
    if rows.empty:
        colors = _arrays(axes, evidence, probe, picture, widths, colors)
    elif rows["layer"].nunique() > 1 and (rows["layer"] != "").all():
        look = _POINTS
        _over_layers(axes, rows, colors)
    else:
        _over_epochs(axes, rows[rows["layer"] == rows["layer"].min()], colors)
    axes.set_title(QUANTITIES[quantity].axis, loc="left", fontsize="small")
    if picture.scale != "linear":
        axes.set_yscale(picture.scale, **({"linthresh": 1e-2} if picture.scale == "symlog" else {}))
    legend(figure, handles(colors, **look), below=True)
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
        axes.plot(x, points["value"] * scale, color=color, **_POINTS)
    axes.set_xticks(range(len(layers)), layers, rotation=20, ha="right", fontsize="x-small")


def _arrays(
    axes: Axes, evidence: Evidence, probe: str, picture: Picture, widths: pd.Series, colors: dict[str, str]
) -> dict[str, str]:
    """The last array of the first network of every width; of several layers, one line each for the narrowest."""
    quantity, along = picture.quantity, picture.along
    arrays = evidence.arrays(quantity)
    found = [array for array in arrays if array.probe == probe and array.layer.endswith(picture.layers)]
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
            x = next(position.values[row] for position in positions if position.rows.equals(array.rows))
        axes.plot(x, values, color=drawn[array.layer if by_layer else f"width {width}"], marker=".", markersize=2)
    if not found:
        note(axes, f"{quantity} was not measured")
    axes.set_xlabel(QUANTITIES[along].axis if along else found[0].dims[-1].replace("_", " ") if found else "")
    return drawn


def write(evidence: Evidence, probes: Iterable[str], folder: Path) -> None:
    """Write ``<probe>.png`` of some probes into a folder."""
    with mpl.style.context(STYLE):
        for probe in probes:
            save(draw(evidence, probe), folder / f"{probe}.png", "png", dpi=110)


@contextmanager
def measured(study: Study, probes: Sequence[str]) -> Iterator[Evidence]:
    """Have Snakemake measure some probes of a study, and of the study what they need; nothing else is made.

    The evidence lasts as long as the context: arrays are read from its file when they are drawn.

    Raises:
        UserError: If that fails; Snakemake has said why.
    """
    histories = [layout.history(study.name, pack) for pack in packs(study)]
    files = [layout.probe(study.name, pack, probe) for pack in packs(study) for probe in probes]
    command = [sys.executable, "-m", "snakemake", "--cores", "all", *map(str, [*histories, *files])]
    if subprocess.run(command).returncode:
        raise UserError(f"The pictures of {', '.join(probes)} were not made: see above. Run the command again then.")
    with tempfile.TemporaryDirectory() as temporary:
        made = layout.measurements_in(Path(temporary))
        collect(study, {}, histories, files, made, layout.cells_in(Path(temporary)))
        yield evidences.read(made)
