"""The figure NAME on measurements made by hand."""

from pathlib import Path

import pandas as pd

from gengap.cli.templates.figure import data, plot
from gengap.evidence.measurements import Evidence

CELLS = pd.DataFrame(
    {
        "cell": ["seed=0", "seed=1", "seed=2"],
        "seed": [0, 1, 2],
        "status": ["finished", "dead", "finished"],
        "epochs_trained": [3.0, 4.0, 5.0],
    }
)
STUDY = {"name": "made", "axes": ["seed"], "fixed": {}, "varied": [], "reduced": False}
EMPTY = pd.DataFrame()
EVIDENCE = Evidence(STUDY, CELLS, EMPTY, EMPTY, EMPTY, Path("made.h5"))


def test_dots_are_the_epochs_of_the_finished_networks():
    found = data(EVIDENCE)
    (axes,) = plot(found, EVIDENCE).axes
    (dots,) = axes.lines
    assert list(dots.get_ydata()) == list(found["epochs_trained"]) == [3.0, 5.0]
