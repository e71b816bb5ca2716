"""Evidence of made-up cells, for tables and figures that read nothing but the table of cells and the history."""

import pandas as pd

from gengap.evidence.measurements import Evidence


def evidence(cells, axes, *, history=(), fixed=None, data=None):
    """Evidence of finished cells, given as dictionaries with their axes, seed and final values."""
    frame = pd.DataFrame([{"cell": str(place), "status": "finished", **cell} for place, cell in enumerate(cells)])
    study = {"name": "made_up", "axes": [*axes, "seed"], "reduced": False, "fixed": fixed or {}, "data": data or {}}
    told = pd.DataFrame(history, columns=["cell", "epoch", "quantity", "value", "batchnorm"])
    rows = pd.DataFrame(columns=["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"])
    return Evidence(study, frame, told, rows, pd.DataFrame(), path=None)
