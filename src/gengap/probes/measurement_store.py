"""The store of measurements: one file per identity, so that no study measures what another has measured.

An entry has the form of a pack's probe file, with one cell without a name. It is written beside and renamed, so two
jobs that measure the same cell at once leave one good copy.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gengap import layout
from gengap.errors import UnreadableError, UserError
from gengap.files import storage
from gengap.logs import log
from gengap.probes.results import Measured, ProbeResults, read, read_index
from gengap.studies.settings import Cell
from gengap.studies.study import Probe

_DAMAGE = (UserError, ValueError, OSError, KeyError)  # what reading a damaged file may raise


def put(store: Path, identity: str, probe: Probe, cell: Cell, measured: Mapping[float, Measured], how: str) -> None:
    """Keep what a probe measured of a cell at some epochs, beside what is kept of it at others.

    Args:
        store: Folder of the store.
        identity: See `gengap.probes.identity.identities`.
        probe: The probe.
        cell: Settings of the cell.
        measured: By epoch.
        how: See `gengap.probes.identity.method`; `gengap clean` compares it.
    """
    kept = get(store, identity, epochs(store, identity))
    results = ProbeResults(probe)
    results.measured = {("", epoch): one for epoch, one in sorted({**kept, **measured}.items())}
    # Waiting for the disk a thousand times takes long. What a loss of power damages, its digests tell.
    results.write(
        layout.stored_measurement(store, identity),
        {"cell": cell.identity(), "method": how},
        identities={"": identity},
        sync=False,
    )


def epochs(store: Path, identity: str) -> set[float]:
    """Epochs at which a cell was measured."""
    path = layout.stored_measurement(store, identity)
    if not path.exists():
        return set()
    try:
        return {epoch for known, epoch in read_index(path) if known == identity}
    except UnreadableError:  # the system could not; the entry may be sound
        raise
    except _DAMAGE as error:
        _set_aside(path, error)
        return set()


def get(store: Path, identity: str, wanted: set[float]) -> dict[float, Measured]:
    """What is kept of a cell at some epochs; a damaged entry is set aside with a warning, and counts as missing."""
    path = layout.stored_measurement(store, identity)
    if not wanted or not path.exists():
        return {}
    try:
        return {epoch: one for (_, epoch), one in read(path, {(identity, epoch) for epoch in wanted}).items()}
    except UnreadableError:  # the system could not; the entry may be sound
        raise
    except _DAMAGE as error:
        _set_aside(path, error)
        return {}


def _set_aside(path: Path, error: Exception) -> None:
    aside = path.with_suffix(".damaged")
    path.replace(aside)
    log.warning("%s is damaged (%s): set aside as %s, and the cell is measured again", path, error, aside.name)


def entries(store: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every entry's file and what it says of itself: ``cell`` and ``method`` of `put`; empty if it is damaged."""
    for path in sorted(layout.stored_measurements(store).glob("*/*.h5")):
        try:
            with storage.reading(path, "probe") as file:
                yield path, storage.provenance_of(file)
        except UnreadableError:
            raise
        except _DAMAGE:
            yield path, {}
