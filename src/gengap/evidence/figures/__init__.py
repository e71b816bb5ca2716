"""The figures. Each module has ``data(evidence)``, exactly what is plotted, and ``plot(data, evidence)``."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.style
import pandas as pd
from matplotlib.figure import Figure

from gengap import registry
from gengap.evidence.figures.drawing import COLUMN, PAGE, letters
from gengap.evidence.measurements import Evidence, with_options
from gengap.files import storage
from gengap.studies.study import Figure as FigureSettings

STYLE = Path(__file__).with_name("gengap.mplstyle")


def plot(figure: str | FigureSettings, evidence: Evidence, *, width: float = COLUMN) -> Figure:
    """Draw a registered figure in the project's style.

    Args:
        figure: Its name and options, or only its name.
        evidence: The study's measurements.
        width: Of the figure in inches: a journal's column, or its page.

    Raises:
        UserError: If there is no such figure, or the study did not measure what it shows.
    """
    module, evidence = _prepared(figure, evidence)
    return _plotted(module, module.data(evidence), evidence, width)


def draw(figure: str | FigureSettings, evidence: Evidence, files: Mapping[str, str | Path]) -> None:
    """Write a registered figure and the plotted numbers; equal measurements give equal bytes.

    Args:
        figure: Its name and options, or only its name.
        evidence: The study's measurements.
        files: The files to write: ``pdf`` and ``png`` (300 dots per inch) at the width of a column, ``page_pdf`` and
            ``page_png`` at that of a page, and ``csv`` with the plotted numbers.

    Raises:
        UserError: As `plot`.
    """
    module, evidence = _prepared(figure, evidence)
    data = module.data(evidence)
    for prefix, width in (("", COLUMN), ("page_", PAGE)):
        plotted = _plotted(module, data, evidence, width)
        with matplotlib.style.context(STYLE):  # which also says how it is written: resolution, and text as text
            for kind in ("pdf", "png"):
                save(plotted, files[prefix + kind], kind)
    storage.write_text(files["csv"], data.to_csv(index=False, float_format="%.8g", lineterminator="\n"))


def _prepared(figure: str | FigureSettings, evidence: Evidence) -> tuple[Any, Evidence]:
    """The module of a figure, and the evidence with its options."""
    settings = FigureSettings.model_validate(figure)
    return registry.load("figure", settings.name), with_options(evidence, settings)


def _plotted(module: Any, data: pd.DataFrame, evidence: Evidence, width: float) -> Figure:
    with matplotlib.style.context(STYLE):
        matplotlib.rcParams["figure.figsize"] = (width, matplotlib.rcParams["figure.figsize"][1])
        plotted: Figure = module.plot(data, evidence)
        letters(plotted)
    return plotted


def save(figure: Figure, path: str | Path, kind: str, **options: Any) -> None:
    """Write a picture as ``pdf`` or ``png``; equal figures give equal bytes.

    It is made in memory: matplotlib, when a write fails, raises errors of its own that hide the disk's.
    """
    made = io.BytesIO()
    figure.savefig(made, format=kind, metadata={"CreationDate": None} if kind == "pdf" else None, **options)
    storage.write_bytes(path, made.getvalue())
