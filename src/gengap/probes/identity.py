"""By what a measurement is known: probe, options and code; the cell's settings, data and weights.

So a checkpoint is measured once, whichever pack or study asks for it.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from gengap import versions
from gengap.labels import Digests
from gengap.registry import PACKAGE
from gengap.registry.code_dependencies import code_of_part
from gengap.studies.packing import probe_settings
from gengap.studies.settings import Cell
from gengap.studies.study import Probe


def method(probe: Probe) -> str:
    """Digest of a probe's options and code; when it measures is left out, since that changes no measurement."""
    settings = {key: value for key, value in probe_settings(probe).items() if key != "epochs"}
    code = [_content(PACKAGE.parents[1] / path) for path in code_of_part("probe", probe.name)]
    return _digest(settings, code, versions.PROBES)


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
        name: _digest(how, cell.identity(), data.all, weights[name]) for name, cell in cells.items() if name in weights
    }


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


@functools.cache
def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
