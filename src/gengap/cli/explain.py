"""Where a result came from, read from the files only: from a figure back to the raw archive."""

import csv
import datetime
import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gengap import layout
from gengap.counting import count, noun
from gengap.errors import UserError
from gengap.files import paths
from gengap.files.lineage import Made, changed, follow, is_followed
from gengap.snakemake_support import due
from gengap.studies.packing import Fingerprinted

STEPS = {  # in the order of the chain: a step, and the kinds of HDF5 files that it is of
    "measurements": ("measurements",),
    "what the probes measured": ("probe",),
    "draws": ("draws",),
    "imported": ("export",),
    "trained networks": ("weights", "history"),
    "labelled data": ("labelled",),
    "prepared data": ("prepared",),
}
_MADE = f"{layout.RESULTS} or {layout.DATA}"
_SHOWN = 8  # files listed per step
_WIDTH = 110  # columns of a terminal
_HEX = 12  # digits shown of a digest
_LIBRARIES = ("torch", "numpy")


def explain(path: Path, project: Path | None = None) -> list[str]:
    """Tell where a result came from.

    Args:
        path: The file, from the working folder or absolute.
        project: The project's top; found if it is left out.

    Returns:
        Lines to print.

    Raises:
        UserError: If there is no such file, it lies outside of any project, or its record is damaged.
    """
    project = paths.project_of(path) if project is None else project
    top = paths.from_top(path, project)
    if not (project / top).is_file():
        raise UserError(f"{path}: there is no such file. Name a file below {_MADE}.")
    if top.parts[0] not in (layout.RESULTS.parts[0], layout.DATA.parts[0]):
        raise UserError(f"{path}: is not made by a run. Name a file below {_MADE}.")
    found = follow(top, project)
    lines = [str(top), *_indented(_story(found[top], project))]
    if not found[top].inputs and not found[top].kind:
        lines.append(f"  Nothing is recorded of it: {layout.RECORDS} has no entry. `make pull` brings the records.")
    for title, kinds in STEPS.items():
        # A pack's weights and its history are made together, and say the same of themselves.
        once = {
            layout.weights_in(made.path.parent) if made.kind == "history" else made.path: made
            for made in found.values()
            if made.kind in kinds and made.path != top
        }
        if files := list(once.values()):
            lines += ["│", f"├ {title}: {files[0].path if len(files) == 1 else f'{len(files)} files'}"]
            lines += [
                f"│   {line}" for line in (_story(files[0], project) if len(files) == 1 else _list(files, project))
            ]
    if raw := [line for made in found.values() if made.kind == "prepared" for line in _raw(made, project)]:
        lines += ["│", "└ raw data", *(f"    {line}" for line in dict.fromkeys(raw))]
    return [*lines, "", *_verdict(found, project)]


def still_due(path: Path, project: Path | None = None) -> list[str]:
    """What of a result the next run would make again, by the word of Snakemake, which `gengap plan` and a run follow.

    Args:
        path: See `explain`.
        project: See `explain`.

    Returns:
        Lines to print.
    """
    project = paths.project_of(path) if project is None else project
    top = paths.from_top(path, project)
    try:
        made = sorted(map(str, due.outputs([str(top)], project)))
    except UserError:
        return ["The present studies and rules do not make this file, so no run changes it."]
    if not made:
        return ["It is up to date: a run would make nothing of it again."]
    more = f" and {len(made) - _SHOWN} more" if len(made) > _SHOWN else ""
    return [
        "It is out of date, since settings, code or data have changed; a run would make again: "
        f"{', '.join(made[:_SHOWN])}{more}."
    ]


def _list(files: list[Made], project: Path) -> Iterator[str]:
    """One line for each of several files of one step, of hundreds for the first; then what they share."""
    names = [str(Path(*made.path.parts[3 if made.path.is_relative_to(layout.RESULTS) else 2 :])) for made in files]
    for made, name in [*zip(files, names, strict=True)][:_SHOWN]:
        facts = [*_content(made), *([f"{_when(made.started)}, {_spell(made.seconds)}"] if made.started else [])]
        yield f"{name:{max(map(len, names[:_SHOWN]))}}  {', '.join(facts)}"
    if len(files) > _SHOWN:
        yield f"and {len(files) - _SHOWN} more; {_spell(sum(made.seconds for made in files))} for all {len(files)}"
    yield from dict.fromkeys(line for made in files for line in (*_code(made), *_edited(made, project)))


def _story(made: Made, project: Path) -> Iterator[str]:
    """All that is known of one file."""
    for line in _content(made):
        yield from textwrap.wrap(line, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    if made.started is not None:
        yield f"made {_when(made.started)}, in {_spell(made.seconds)}, by rule {made.rule}"
    elif "written" in made.provenance:
        yield f"made {made.provenance['written'][:19].replace('T', ' ')} UTC"
    yield from _code(made)
    yield from _edited(made, project)


def _code(made: Made) -> Iterator[str]:
    """By which code, with which libraries and on which device an HDF5 file was written."""
    if said := made.provenance:
        dirty = " with uncommitted changes" if said.get("dirty") else ""
        numbers = ", ".join(f"{name} {number}" for name, number in said.get("numbers", {}).items())
        yield f"code: gengap {said['versions']['gengap']}, commit {said['commit'][:_HEX] or 'unknown'}{dirty}" + (
            f"; versions of the numbers: {numbers}" if numbers else ""
        )
        libraries = (f"{name} {said['versions'][name]}" for name in _LIBRARIES if said["versions"].get(name))
        yield f"on: {said['device']}, Python {said['python']}, {', '.join(libraries)}"


def _edited(made: Made, project: Path) -> Iterator[str]:
    """Which code, of that which the rule lists, was edited since."""
    if edited := [path for path in changed(made, project) if not is_followed(path)]:
        yield f"EDITED since: {', '.join(map(str, edited))}"


def _content(made: Made) -> Iterator[str]:
    """What is in an HDF5 file."""
    settings = made.provenance.get("settings", {})
    if made.kind == "measurements":
        study = json.loads(made.attributes["study"])
        cells = ", ".join(f"{count} {status}" for status, count in made.attributes["cells"].items())
        yield f"{study['name']}: {study['title']}"
        yield f"{count(study['n_cells'], 'cell')}: {cells}"
    if "cells" in settings:
        cells = f"{len(settings['cells'])} cell{'s' * (len(settings['cells']) > 1)}"
        data = made.provenance.get("data_digest", "")
        yield f"{cells}, settings {_settings_digest(settings['cells'])}" + (f", data {data[:_HEX]}" if data else "")
        if after := sum("after.cell" in cell for cell in settings["cells"].values()):
            yield f"{after} of them start from networks trained before, whose weights are among the inputs"
    if made.kind == "export":
        yield f"results of {made.attributes['study']} from another machine, without weights"
    if made.kind == "draws":
        yield f"settings {_settings_digest(settings.get('point', {}))}"
    if made.kind == "labelled":
        yield f"rule {_spelled(settings['labels'])}"
        yield f"{count(made.attributes['n_classes'], 'class', 'classes')}, digest {made.attributes['digest'][:_HEX]}"
    if made.kind == "prepared":
        yield f"{_spelled(settings['dataset'])}; variant {made.attributes['variant']}"


def _raw(made: Made, project: Path) -> Iterator[str]:
    """The archives of a prepared dataset, as data/sources.csv has them: who reads them checks their digests."""
    name = made.provenance["settings"]["dataset"]["name"]
    variant = str(made.attributes["variant"])
    if (project / layout.DATASET_ARCHIVES).exists():
        with (project / layout.DATASET_ARCHIVES).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["name"] == name and row["variant"] == variant:
                    yield " ".join(filter(None, (f"{name}, {variant}:", row["file"], row["digest"], row["where"])))


def _verdict(found: Mapping[Path, Made], project: Path) -> Iterator[str]:
    """Whether every file is still what the next one was made from."""
    broken = [
        f"{path} {'has changed' if (project / path).exists() else 'is gone'} since {made.path} was made from it"
        for made in found.values()
        for path in changed(made, project)
        if is_followed(path)
    ]
    unknown = [made for made in found.values() if not made.inputs]
    if broken:
        yield "The chain is broken; run the study again to repair it:"
        yield from (f"  {line}" for line in broken)
    elif unknown:
        yield f"Of {len(unknown)} of {count(len(found), 'file')} it is not recorded what they were made from."
    else:
        whole = f"{'All ' if len(found) > 1 else ''}{count(len(found), 'file')} {noun(len(found), 'has', 'have')}"
        yield f"{whole} the content that the next one was made from."


def _indented(lines: Iterator[str], by: str = "  ") -> Iterator[str]:
    return (by + line for line in lines)


def _settings_digest(settings: Mapping[str, Any]) -> str:
    """The digest by which Snakemake notices a change of them."""
    return repr(Fingerprinted(settings)).removesuffix(">").split()[-1]


def _spelled(settings: Mapping[str, Any]) -> str:
    """A component's name and settings, those that are not set left out."""
    options = (f"{key} {value}" for key, value in settings.items() if key != "name" and value is not None)
    return f"{settings['name']}: {', '.join(options)}"


def _when(seconds: float) -> str:
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"


def _spell(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
