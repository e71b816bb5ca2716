"""By what results are known: a cell by its settings and data, a measurement by its probe's options and code.

So a cell is trained once, and a checkpoint measured once, whichever study asks; and it can be told whether a result of
another machine is what a study asks for.
"""

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from gengap import layout, versions
from gengap.registry import PACKAGE
from gengap.registry.code_dependencies import code_of_part
from gengap.studies.packing import probe_settings
from gengap.studies.settings import Cell
from gengap.studies.simulation import Point, point_settings
from gengap.studies.study import Probe


def cell_identity(cell: Cell, data_digest: str) -> str:
    """Digest of a cell's settings, its labelled data and the version of the training code."""
    return _digest(cell.identity(), data_digest, training_version(cell))


def training_version(cell: Cell) -> int | list[int]:
    """Version of the code that trains a cell, of what it uses."""
    return versions.TRAINING if cell.training.subspace is None else [versions.TRAINING, versions.SUBSPACE]


def cell_identities(cell: Cell, data: str, teacher: str) -> set[str]:
    """Those that a cell can have with labelled data of these digests: some losses read the teacher's outputs too."""
    return {cell_identity(cell, data), cell_identity(cell, digest_of_all(data, teacher))}


def digest_of_all(data: str, teacher: str) -> str:
    """Digest of labelled data as a whole.

    Args:
        data: Digest of images and labels.
        teacher: Digest of the teacher's outputs; empty without a teacher.
    """
    return hashlib.sha256((data + teacher).encode()).hexdigest() if teacher else data


def method(probe: Probe) -> str:
    """Digest of a probe's options and code; when it measures is left out, since that changes no measurement."""
    settings = {key: value for key, value in probe_settings(probe).items() if key != "epochs"}
    return _digest(settings, _code("probe", probe.name), versions.PROBES)


def measurement_identity(how: str, cell: Cell, data_digest: str, weights_digest: str) -> str:
    """Digest of all that a probe's measurements of a cell depend on.

    Args:
        how: The probe's `method`.
        cell: Settings of the cell.
        data_digest: Of all its labelled data, a teacher's outputs included.
        weights_digest: Of its weights at all saved epochs.
    """
    return _digest(how, cell.identity(), data_digest, weights_digest)


def point_identity(point: Point) -> str:
    """Digest of a point's settings and seeds, and of the code that simulates it."""
    return _digest(point_settings(point), _code("simulation", point.simulation), versions.SIMULATIONS)


def measured_epochs(probe: Probe, saved: Sequence[float]) -> list[float]:
    """Those of a cell's saved epochs at which a probe measures it."""
    if probe.epochs == "last":
        return [max(saved)]
    return [epoch for epoch in saved if isinstance(probe.epochs, str) or epoch in probe.epochs]


def _code(kind: str, name: str) -> list[str]:
    return [_content(PACKAGE / Path(path).relative_to(layout.PACKAGE)) for path in code_of_part(kind, name)]


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


@functools.cache
def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
