"""The figures. Each module has ``data(evidence)``, exactly what is plotted, and ``plot(data, evidence)``."""

import io
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

from gengap import registry
from gengap.evidence.measurements import Evidence, with_options
from gengap.files import storage
from gengap.studies.study import Figure as FigureSettings

STYLE = Path(__file__).with_name("gengap.mplstyle")


def plot(figure: str | FigureSettings, evidence: Evidence) -> Figure:
    """Draw a registered figure in the project's style.

    Args:
        figure: Its name and options, or only its name.
        evidence: The study's measurements.

    Raises:
        UserError: If there is no such figure, or the study did not measure what it shows.
    """
    settings = FigureSettings.model_validate(figure)
    module, evidence = registry.load("figure", settings.name), with_options(evidence, settings)
    with matplotlib.style.context(STYLE):
        plotted: Figure = module.plot(module.data(evidence), evidence)
    return plotted


def draw(figure: str | FigureSettings, evidence: Evidence, pdf: str | Path, png: str | Path, csv: str | Path) -> None:
    """Write a registered figure and the plotted numbers; equal measurements give equal bytes.

    Args:
        figure: Its name and options, or only its name.
        evidence: The study's measurements.
        pdf: Vector figure to write.
        png: Picture to write, 300 dots per inch.
        csv: Table of the plotted numbers to write.

    Raises:
        UserError: As `plot`.
    """
    settings = FigureSettings.model_validate(figure)
    module, evidence = registry.load("figure", settings.name), with_options(evidence, settings)
    with matplotlib.style.context(STYLE):
        data = module.data(evidence)
        plotted: Figure = module.plot(data, evidence)
        save(plotted, pdf, "pdf")
        save(plotted, png, "png")
    storage.write_text(csv, data.to_csv(index=False, float_format="%.8g", lineterminator="\n"))


def save(figure: Figure, path: str | Path, kind: str, **options: Any) -> None:
    """Write a picture as ``pdf`` or ``png``; equal figures give equal bytes.

    It is made in memory: matplotlib, when a write fails, raises errors of its own that hide the disk's.
    """
    made = io.BytesIO()
    figure.savefig(made, format=kind, metadata={"CreationDate": None} if kind == "pdf" else None, **options)
    storage.write_bytes(path, made.getvalue())
