"""Faults of a picture's layout, found by asking the renderer where everything is."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path as FilePath
from typing import Any

import matplotlib.colors
import matplotlib.style
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from gengap import layout
from gengap.evidence import figures
from gengap.evidence.measurements import Evidence

MOST_GREYS = 3  # black for the printed, one for marks, one for a reference
SLACK = 1.0  # pixels of 150 dots per inch that two boxes may share: letters do not fill theirs


def faults(figure: Figure) -> list[str]:
    """What is wrong: texts that overlap or leave the frame, too many greys, and legends that cover or fill too much."""
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    boxes = [(text.get_text(), _corners(text, renderer)) for text in _texts(figure)]
    right, top = figure.bbox.size
    found = [
        f"{words!r} is outside the frame"
        for words, corners in boxes
        if corners.min() < -SLACK or corners[:, 0].max() > right + SLACK or corners[:, 1].max() > top + SLACK
    ]
    for (one, first), (other, second) in combinations(boxes, 2):
        near = (first.min(0) < second.max(0)).all() and (second.min(0) < first.max(0)).all()
        if near and Path(first[[0, 1, 2, 3, 0]]).intersects_path(Path(second[[0, 1, 2, 3, 0]]), filled=True):
            found.append(f"{one!r} overlaps {other!r}")
    lines = {line.get_color() for axes in figure.axes for line in axes.lines if len(line.get_xdata()) > 1}
    greys = {color for color in lines if _is_grey(color)}
    if len(greys) > MOST_GREYS:
        found.append(f"lines have {len(greys)} greys")
    for legend in figure.legends:
        box = legend.get_window_extent(renderer)
        covered = [axes for axes in figure.axes if axes.get_visible() and axes.bbox.padded(-2).overlaps(box)]
        found += [
            f"{entry.get_label()!r} is a line in the legend, and points in the panels"
            for entry in _lines(legend, figure)
        ]
        if box.x0 < -SLACK or box.x1 > right + SLACK:
            found.append("a legend leaves the frame")
        if box.height > top / 4:
            found.append(f"a legend takes {box.height / top:.0%} of the height")
        found += [f"a legend covers the panel {axes.get_title() or axes.get_ylabel()!r}" for axes in covered]
    return found


def _is_grey(color: Any) -> bool:
    red, green, blue = matplotlib.colors.to_rgb(color)
    return red == green == blue


def _lines(legend: Legend, figure: Figure) -> Iterator[Line2D]:
    """Lines of a legend in whose colour only points are drawn."""
    for entry in legend.legend_handles:
        drawn = [line for axes in figure.axes for line in axes.lines if line.get_color() == entry.get_color()]
        drawn = [line for line in drawn if len(line.get_xdata())]
        if entry.get_linestyle() != "None" and drawn and all(line.get_linestyle() == "None" for line in drawn):
            yield entry


@dataclass(frozen=True)
class Drawn:
    """A registered figure as `figures.draw` draws it, not yet written.

    Attributes:
        saved: What is written to each file: the picture and its format, by the file's name.
        csv: The file with the plotted numbers.
        data: The numbers, computed again.
    """

    saved: Mapping[str, tuple[Figure, str]]
    csv: FilePath
    data: pd.DataFrame

    def of_width(self, width: float) -> Figure:
        """The picture of a column or of a page."""
        kinds = {"": figures.COLUMN, "page": figures.PAGE}
        (found,) = (
            picture
            for name, (picture, kind) in self.saved.items()
            if kind == "png" and kinds[FilePath(name).parent.name] == width
        )
        return found


def drawn(name: str, evidence: Evidence, folder: FilePath) -> Drawn:
    """Draw a registered figure; of its files, only the plotted numbers are written."""
    paths = layout.figure_files("made", name)
    files = {key: folder / path.relative_to("results/made/figures") for key, path in paths.items()}
    saved: dict[str, tuple[Figure, str]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            figures, "save", lambda figure, path, kind: saved.update({str(path.relative_to(folder)): (figure, kind)})
        )
        figures.draw(name, evidence, files)
    module, evidence = figures._prepared(name, evidence)
    return Drawn(saved, files["csv"], module.data(evidence))


def vectors(figure: Figure) -> bytes:
    """All that a figure draws before it is laid out, as SVG, which embeds no fonts."""
    made, engine = io.BytesIO(), figure.get_layout_engine()
    figure.set_layout_engine("none")
    with matplotlib.style.context(figures.STYLE), matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "1"}):
        figure.savefig(made, format="svg", metadata={"Date": None})
    figure.set_layout_engine(engine)
    return made.getvalue()


def _texts(figure: Figure) -> Iterator[Text]:
    """Every text that is drawn."""
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        found += axes.texts
        if axes.axison:
            for axis in (axes.xaxis, axes.yaxis):
                found += [axis.label, axis.offsetText]
                found += [label for tick in axis._update_ticks() for label in (tick.label1, tick.label2)]
        found += [axes.title, axes._left_title, axes._right_title]
        found += [text for legend in axes.findobj(lambda one: hasattr(one, "get_texts")) for text in legend.get_texts()]
    return (text for text in found if text.get_visible() and text.get_text().strip())


def _corners(text: Text, renderer) -> np.ndarray:
    """The corners of a text's box in pixels, turned as the text is."""
    around, angle = text.get_window_extent(renderer), text.get_rotation()
    middle = np.array([(around.x0 + around.x1) / 2, (around.y0 + around.y1) / 2])
    text.set_rotation(0)
    flat = text.get_window_extent(renderer)
    text.set_rotation(angle)
    half = np.maximum(np.array([flat.width, flat.height]) / 2 - SLACK, 0.1)
    return Affine2D().rotate_deg(angle).transform(half * [(-1, -1), (1, -1), (1, 1), (-1, 1)]) + middle
