"""The figures. Each module has ``data(evidence)``, exactly what is plotted, and ``plot(data, evidence)``."""

from pathlib import Path

import matplotlib.style
from matplotlib.figure import Figure

from gengap import registry
from gengap.evidence.measurements import Evidence
from gengap.files import storage

STYLE = Path(__file__).with_name("gengap.mplstyle")


def plot(name: str, evidence: Evidence) -> Figure:
    """Draw a registered figure in the project's style.

    Raises:
        UserError: If there is no such figure, or the study did not measure what it shows.
    """
    module = registry.load("figure", name)
    with matplotlib.style.context(STYLE):
        figure: Figure = module.plot(module.data(evidence), evidence)
    return figure


def draw(name: str, evidence: Evidence, pdf: str | Path, png: str | Path, csv: str | Path) -> None:
    """Write a registered figure and the plotted numbers; equal measurements give equal bytes.

    Args:
        name: Registered name of the figure.
        evidence: The study's measurements.
        pdf: Vector figure to write.
        png: Picture to write, 300 dots per inch.
        csv: Table of the plotted numbers to write.

    Raises:
        UserError: As `plot`.
    """
    module = registry.load("figure", name)
    with matplotlib.style.context(STYLE):
        data = module.data(evidence)
        figure: Figure = module.plot(data, evidence)
        with storage.beside(pdf) as temporary:
            figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
        with storage.beside(png) as temporary:
            figure.savefig(temporary, format="png")
    storage.write_text(csv, data.to_csv(index=False, float_format="%.8g", lineterminator="\n"))
