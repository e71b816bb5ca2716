"""By what a measurement is known: probe, options and code; the cell's settings, data and weights.

So a checkpoint is measured once, whichever pack or study asks for it.
"""

from collections.abc import Mapping

from gengap.labels import Digests
from gengap.studies.identity import measurement_identity, method
from gengap.studies.settings import Cell
from gengap.studies.study import Probe


def identities(probe: Probe, cells: Mapping[str, Cell], data: Digests, weights: Mapping[str, str]) -> dict[str, str]:
    """Digest of all that a probe's measurements of each cell depend on.

    Args:
        probe: The probe.
        cells: Settings by name.
        data: Digests of their labelled data.
        weights: Of each cell, the digest of its weights at all saved epochs; cells without one are left out.
    """
    how = method(probe)
    return {
        name: measurement_identity(how, cell, data.all, weights[name])
        for name, cell in cells.items()
        if name in weights
    }
