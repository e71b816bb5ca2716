"""Which files of the store, and of killed jobs, no current study can use again."""

import functools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gengap import labels, layout
from gengap.errors import UserError
from gengap.files import paths
from gengap.probes import measurement_store
from gengap.studies.identity import cell_identity, method
from gengap.studies.packing import dataset_key, labels_key, packs
from gengap.studies.study import Study
from gengap.training import cell_store

_DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Stale:
    """A file that can be removed.

    Attributes:
        path: Where it is.
        why: Why nobody needs it.
        size: Its size in bytes.
    """

    path: Path
    why: str
    size: int


@dataclass(frozen=True)
class Wanted:
    """The cells of all studies.

    Attributes:
        identities: Of the cells whose labelled data are there.
        settings: Of the cells whose labelled data are not, as text: with any data, an entry with these is kept.
        cells: Settings of all cells, as text.
        methods: Of all probes; see `gengap.probes.identity.method`.
    """

    identities: frozenset[str]
    settings: frozenset[str]
    cells: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()


def wanted(studies: Mapping[str, Study], project: Path) -> Wanted:
    """What the studies refer to.

    Args:
        studies: All studies, the reduced ones too.
        project: The project's folder.
    """
    identities, settings = set(), set()

    @functools.cache
    def read(dataset: str, rule: str) -> labels.LabelledData:
        return labels.read(project / layout.prepared(dataset), project / layout.labelled(dataset, rule))

    for study in studies.values():
        for names in packs(study).values():
            cells = [study.cells[name] for name in names]
            try:
                digest = read(dataset_key(cells[0]), labels_key(cells[0])).digest_for(cells[0].loss)
            except UserError:
                settings |= {_text(cell.identity()) for cell in cells}
            else:
                identities |= {cell_identity(cell, digest) for cell in cells}
    texts = {_text(cell.identity()) for study in studies.values() for cell in study.cells.values()}
    methods = {method(probe) for study in studies.values() for probe in study.probes}
    return Wanted(frozenset(identities), frozenset(settings), frozenset(texts), frozenset(methods))


def stale(project: Path, store_folder: Path, found: Wanted, days: float) -> Iterator[Stale]:
    """Find what can be removed.

    Args:
        project: The project's folder.
        store_folder: The store.
        found: What is referred to.
        days: How old an unfinished pack or a half-written file must be; a younger one may belong to a running job.
    """
    for path in cell_store.entries(store_folder):
        if path.stem in found.identities:
            continue
        settings = cell_store.settings(path)
        if settings is None:
            yield from _stale([path], "damaged")
        elif _text(settings) not in found.settings:
            yield from _stale([path], "trained cell that no study refers to")
    for path, says in measurement_store.entries(store_folder):
        if not says:
            yield from _stale([path], "damaged")
        elif _text(says["cell"]) not in found.cells or says["method"] not in found.methods:
            yield from _stale([path], "measurement that no study refers to")
    for folder in (layout.stored_cells(store_folder), layout.stored_measurements(store_folder)):
        yield from _stale(folder.glob("*/*.damaged"), "damaged")
    yield from _stale(store_folder.glob("??/*"), "of an earlier version of the store")
    limit = time.time() - days * _DAY_SECONDS
    yield from _stale(
        layout.unfinished(store_folder).glob("*.h5"), f"pack left unfinished for {days:g} days", _older(limit)
    )
    for folder in (store_folder, project / layout.RESULTS, project / layout.DATA):
        half = (path for path in paths.files_below(folder) if path.name.startswith(".") and path.suffix == ".part")
        yield from _stale(half, "half-written by a job that was killed", _older(limit))


def _stale(
    paths: Iterator[Path] | list[Path], why: str, accepted: Callable[[Path], bool] = Path.is_file
) -> Iterator[Stale]:
    """Those of the paths that are accepted; jobs may remove files meanwhile."""
    for path in sorted(paths):
        try:
            if accepted(path):
                yield Stale(path, why, path.stat().st_size)
        except FileNotFoundError:
            continue


def _older(limit: float) -> Callable[[Path], bool]:
    return lambda path: path.stat().st_mtime < limit


def _text(identity: Mapping[str, Any]) -> str:
    return json.dumps(identity, sort_keys=True)
