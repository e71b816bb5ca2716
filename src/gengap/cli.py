"""The command `gengap`: check studies, choose their settings for this machine, say where results are, clean up."""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gengap.errors import UserError
from gengap.packing import packs
from gengap.simulation import Simulation, cell_names, load_simulations
from gengap.study import REDUCED, Study, StudyFile, find_study, load_studies

if TYPE_CHECKING:
    from gengap import cleaning

STUDIES = Path("config/studies")
SIMULATIONS = Path("config/simulations")
STORE = Path(".gengap/store")
_SHOWN = 10  # files listed per reason


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a user's mistake is one message and exit status 1."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, e.g. `head`, has seen enough
        sys.stderr.close()
    return 0


def check(options: argparse.Namespace) -> None:
    """Check every study and simulation; print the packs of one, or the size of all."""
    known = _known()
    if options.study is None:
        for name, one in known.items():
            cells, cell, parts, part = _counted(one)
            print(f"{name:32}{cells:6} {cell} {parts:4} {part:6} {one.title}")
        return
    one = find_study(known, options.study)
    print("{}: {}\n{} {} in {} {}".format(one.name, one.title, *_counted(one)))
    for name, names in _parts(one).items():
        print("\n  ".join([f"\n{name}", *names]))


def scale(options: argparse.Namespace) -> None:
    """Print the study that `make run` builds: the full or the reduced settings."""
    print(_scaled(_known(), options.study, options.scale, gpu=has_nvidia_gpu()))


def summary(options: argparse.Namespace) -> None:
    """Say what a finished study found and where its results are."""
    study = find_study(_known(), options.study)
    folder = Path("results") / study.name
    try:
        metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: there are no finished results. Run `make run STUDY={study.name}`.") from error
    lines = {
        "cells": _counts(metrics["cells"]),
        "verdicts": _counts(metrics["verdicts"]) if study.reference else "no published numbers to compare with",
        "report": folder / "report.html",
        "figures": folder / "figures",
        "tables": folder / "tables",
        "verdict table": folder / "verdicts.csv" if study.reference else "",
        "measurements": f'{folder / "measurements.h5"}, in Python: gengap.load("{folder}")',
    }
    print(f"{study.name}: {study.title}")
    for key, value in lines.items():
        if value.exists() if isinstance(value, Path) else value:
            print(f"  {key:14}{value}")


def clean(options: argparse.Namespace) -> None:
    """List what the store keeps that no study refers to, and remove it if you say so."""
    from gengap import cleaning  # imports torch, which costs the other commands seconds

    wanted = cleaning.wanted(load_studies(STUDIES), Path("data"))
    found = list(cleaning.stale(Path(), STORE, wanted, options.days))
    if wanted.settings:
        print(f"Of {len(wanted.settings)} cells of studies the labelled data are not there: what is theirs is kept.")
    if not found:
        print("Nothing can be removed.")
        return
    for why in dict.fromkeys(one.why for one in found):
        those = [one for one in found if one.why == why]
        print(f"{why}: {_files(those)}")
        for one in those[:_SHOWN]:
            print(f"  {_size(one.size):>10}  {one.path}")
        if len(those) > _SHOWN:
            print(f"  {'':10}  and {len(those) - _SHOWN} more")
    if not options.yes and not (
        sys.stdin.isatty() and input(f"Remove {_files(found)}? [y/N] ").lower() in ("y", "yes")
    ):
        print("Nothing was removed. `gengap clean --yes` removes it.")
        return
    for one in found:
        one.path.unlink(missing_ok=True)
    print(f"Removed {_files(found)}.")


def schema(options: argparse.Namespace) -> None:
    """Print the JSON schema of study files, for editors."""
    content = StudyFile.model_json_schema()
    overrides = {"type": "object", "description": f"Values for `<study>{REDUCED}`: the same study on a small machine."}
    content["properties"]["reduced"] = overrides
    content["$defs"]["Cell"]["patternProperties"] = {r"^[a-z_]+\.[a-z_]+$": {"description": "A dotted key."}}
    print(json.dumps(content, indent=2))


def has_nvidia_gpu() -> bool:
    """Whether an NVIDIA driver is there; PyTorch, which would know better, takes seconds to ask."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def _known() -> dict[str, Study | Simulation]:
    studies = load_studies(STUDIES)
    return {**studies, **load_simulations(SIMULATIONS, studies)}


def _parts(one: Study | Simulation) -> Mapping[str, Sequence[str]]:
    """Names of the cells of each job."""
    if isinstance(one, Study):
        return packs(one)
    return {name: cell_names(name, point) for name, point in one.points.items()}


def _counted(one: Study | Simulation) -> tuple[int, str, int, str]:
    """How many cells and jobs, and what they are called."""
    if isinstance(one, Study):
        return len(one.cells), "cells", len(packs(one)), "packs"
    return one.n_draws, "draws", len(one.points), "points"


def _scaled(studies: Mapping[str, Study | Simulation], name: str, wanted: str, *, gpu: bool) -> str:
    study = find_study(studies, name)
    has_reduced = name + REDUCED in studies
    if study.reduced or wanted == "full":
        return name
    if wanted == "reduced":
        if not has_reduced:
            raise UserError(f"study '{name}' has no reduced settings. Run it with SCALE=full.")
        return name + REDUCED
    if study.full_on == "gpu" and has_reduced and not gpu:
        print(f"No NVIDIA GPU: taking the reduced settings of '{name}'; SCALE=full takes all.", file=sys.stderr)
        return name + REDUCED
    return name


def _files(found: Sequence["cleaning.Stale"]) -> str:
    return f"{len(found):,} file{'s' if len(found) > 1 else ''}, {_size(sum(one.size for one in found))}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.1f} MiB" if n_bytes >= 2**20 else f"{n_bytes / 2**10:.1f} KiB"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gengap", description="A laboratory for small networks. Run it at the top.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run, with_study in ((check, "?"), (summary, None), (scale, None), (schema, ""), (clean, "")):
        text = (run.__doc__ or "").split(".")[0]
        command = commands.add_parser(run.__name__, help=text, description=text + ".")
        command.set_defaults(run=run)
        if with_study != "":
            command.add_argument(
                "study",
                nargs=with_study,
                metavar="STUDY",
                help="name of a file in config/studies or config/simulations",
            )
        if run is scale:
            command.add_argument("scale", choices=("auto", "full", "reduced"))
        if run is clean:
            command.add_argument("--yes", action="store_true", help="remove without asking")
            days = "age of an unfinished pack or half-written file to be removed (default: 7)"
            command.add_argument("--days", type=float, default=7.0, help=days)
    return parser
