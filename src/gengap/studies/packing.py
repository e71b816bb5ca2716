"""Grouping a study's cells into packs: cells that one program can train together."""

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from gengap import registry
from gengap.studies.grid import cell_name, value_at
from gengap.studies.names import MOST_BYTES, path_name
from gengap.studies.schema import Component, Settings
from gengap.studies.settings import ARM, CODE, Cell, identities
from gengap.studies.study import Figure, Probe, Study, Table

# What may differ between the cells of a pack: everything else shapes the computation.
PER_CELL_KEYS = frozenset(
    {
        "seed",
        ARM,
        "optimizer.lr",
        "optimizer.momentum",
        "optimizer.beta1",
        "optimizer.beta2",
        "optimizer.eps",
        "optimizer.weight_decay",
        "training.epochs",
        "training.stop_accuracy",
        "training.stop_loss",
        "training.noise_factor",
        "training.noise_milestones",
        "training.snapshots",
    }
)


def shape_key(cell: Cell) -> tuple[tuple[str, str], ...]:
    """What two cells must share to be trained together: a network and its origin cannot."""
    chain = (
        ("links", str(cell.after.links)),
        ("masked", str(cell.after.masked)),
        ("few", str(cell.after.mostly_pruned)),
    )
    return (*(pair for section, settings in cell for pair in _shape(section, settings)), *chain)


@functools.cache  # the cells of a study share their sections
def _shape(section: str, settings: Any) -> tuple[tuple[str, str], ...]:
    """The part of a shape key that one section gives."""
    if not isinstance(settings, Settings):
        return () if _per_cell(section) else ((section, repr(settings)),)
    return tuple((key, repr(value)) for key, value in settings if not _per_cell(f"{section}.{key}"))


def _per_cell(dotted: str) -> bool:
    """Whether a setting may differ within a pack: options of inits and schedules may, which see one cell at a time.

    So may what a cell comes after, which is read before the first step.
    """
    return dotted in PER_CELL_KEYS or dotted.startswith(("init.", "schedule.", "after."))


def packs(study: Study) -> dict[str, tuple[str, ...]]:
    """Group a study's cells into packs of at most `study.pack_size`.

    Returns:
        Names of the cells of each pack, by pack name. The name spells the grid axes on which the packs differ (of arms
        that share a pack, the first) and a counter, e.g. ``width=4_pack=0``.
    """
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    found: dict[tuple[int, ...], list[str]] = {}  # the group of cells with these sections
    for name, cell in study.cells.items():
        sections = cell.sections()
        if sections not in found:
            found[sections] = groups.setdefault(shape_key(cell), [])
        found[sections].append(name)
    shared_axes = [axis for axis in study.axes if axis == ARM or not _per_cell(axis)]
    result: dict[str, tuple[str, ...]] = {}
    for names in sorted(groups.values(), key=lambda names: study.cells[names[0]].after.links):  # origins first
        first = study.cells[names[0]]
        values = {axis: value_at(first, axis) for axis in shared_axes}
        prefix = path_name(cell_name(values), MOST_BYTES - len("_pack=99999")) + "_" if values else ""
        for number, start in enumerate(range(0, len(names), study.pack_size)):
            result[f"{prefix}pack={number}"] = tuple(names[start : start + study.pack_size])
    return result


T = TypeVar("T", bound=Component)


class Fingerprinted(dict[str, Any]):
    """Plain data that a job depends on, printed as a digest.

    Snakemake records a parameter as it prints, compares it with the present one, and shows both where they differ:
    hundreds of cells would fill the screen.
    """

    def __repr__(self) -> str:
        return self._printed

    @functools.cached_property  # Snakemake prints it many times
    def _printed(self) -> str:
        content = json.dumps(self, sort_keys=True, default=str)
        return f"<{len(self)} settings, digest {hashlib.sha256(content.encode()).hexdigest()[:16]}>"


def pack_settings(study: Study, names: Iterable[str]) -> Fingerprinted:
    """Settings of the named cells, as plain data that `Cell.from_identity` reads: what a pack's job depends on."""
    return Fingerprinted(identities({name: study.cells[name] for name in names}))


def collected_settings(study: Study, *, probes: bool = False) -> Fingerprinted:
    """What a study's collected measurements depend on, as plain data that `Study` reads: all but evidence.

    Args:
        study: The study.
        probes: With its probes, by which measurements are chosen from imports; of packs, each is in a file of its own.
    """
    keys = {"name", "reduced", "title", "question", "source", "axes", "pack_size", "scoreboard"}
    keys |= {"probes"} if probes else set()
    cells: dict[str, dict[str, Any]] = {}
    known: dict[tuple[int, ...], dict[str, Any]] = {}  # what cells with these sections print as
    for name, cell in study.cells.items():
        sections = cell.sections()
        if sections not in known:
            known[sections] = cell.model_dump(exclude={"seed", ARM}, exclude_defaults=True)
        own = {"seed": cell.seed} if cell.seed else {}
        cells[name] = known[sections] | own | ({ARM: cell.arm} if cell.arm else {})
    return Fingerprinted(study.model_dump(include=keys, exclude_defaults=True) | {"cells": cells})


def section_settings(cell: Cell, section: str) -> dict[str, Any]:
    """Settings of one section, without its defaults, as plain data: what a job depends on that needs no other."""
    prefix = f"{section}."
    return {key.removeprefix(prefix): value for key, value in cell.identity(section).items()}


# Options that the job of every probe recorded when all probes shared them, with the values that stood for a default.
# They stay in the record, so that what was measured then is still up to date.
_ALWAYS_RECORDED: dict[str, Any] = {
    "samples": None,
    "draws": None,
    "control_size": 512,
    "points": None,
    "iterations": None,
    "from_epoch": 0.0,
}


def section_from(section: type[T], settings: Mapping[str, Any]) -> T:
    """The section that `section_settings` was taken from."""
    return section.model_validate({key: value for key, value in settings.items() if key != CODE})


def probe_settings(probe: Probe) -> dict[str, Any]:
    """What a probe's job depends on, as plain data that `probe_from` reads."""
    given = probe.model_dump(mode="json")
    first = {key: given[key] for key in ("name", "epochs", "batchnorm")}
    digest = registry.code(probe.kind, probe.name)
    return {**first, **_ALWAYS_RECORDED, **given, **({CODE: digest} if digest else {})}


def probe_keys(probes: Iterable[Probe]) -> dict[str, Probe]:
    """A study's probes by the names of their files: a probe that is measured in several modes is listed several times.

    The first has its plain name, which figures and tables read; the others tell their mode.
    """
    keyed: dict[str, Probe] = {}
    for probe in probes:
        keyed[probe.name if probe.name not in keyed else f"{probe.name}_batchnorm={probe.batchnorm}"] = probe
    return keyed


def probe_from(settings: Mapping[str, Any]) -> Probe:
    """The probe that `probe_settings` was taken from."""
    given = {
        key: value
        for key, value in settings.items()
        if key != CODE and not (key in _ALWAYS_RECORDED and value == _ALWAYS_RECORDED[key])
    }
    return Probe.model_validate(given)


def evidence_settings(part: Figure | Table) -> dict[str, Any]:
    """What the job of a figure or a table depends on, as plain data that `section_from` reads."""
    digest = registry.code(part.kind, part.name)
    return {**part.model_dump(mode="json"), **({CODE: digest} if digest else {})}


def dataset_key(cell: Cell) -> str:
    """Readable name of the prepared data of a cell, e.g. ``cifar10_image_size=8``."""
    return _component_key("dataset", cell)


def labels_key(cell: Cell) -> str:
    """Readable name of the label rule of a cell, e.g. ``teacher_train_size=30000_test_size=10000``."""
    return _component_key("labels", cell)


def _component_key(section: str, cell: Cell) -> str:
    settings = section_settings(cell, section)
    settings.pop(CODE, None)
    name = settings.pop("name")
    options = {f"{section}.{key}": value for key, value in settings.items()}
    return path_name(",".join([name, *([cell_name(options)] if options else [])]))
