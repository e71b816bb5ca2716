"""The command `gengap`: check studies, choose their settings for this machine, show where results are, clean up."""

import argparse
import atexit
import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gengap import escaping, installation, layout, logs, provenance
from gengap.cli import (
    campaign,
    completion,
    evidence,
    exchange,
    files,
    findings,
    fsck,
    grow,
    init,
    numbers,
    parts,
    publish,
    report,
    scoreboard,
    tensorboard,
    watch,
)
from gengap.cli.arguments import Parser
from gengap.counting import count, noun
from gengap.errors import UserError, refusal
from gengap.files import legacy_names, storage
from gengap.studies import editor_schema, machine
from gengap.studies.names import REDUCED, path_name, study_names
from gengap.studies.packing import packs
from gengap.studies.paper import load_papers
from gengap.studies.project import load_project, written_out
from gengap.studies.simulation import Simulation, cell_names, load_simulations
from gengap.studies.study import Study, find_study, load_studies

if TYPE_CHECKING:
    from gengap.cli.clean import Stale

_SHOWN = 10  # files listed per reason


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a user's mistake is one message and exit status 1."""
    options = parser().parse_args(arguments)
    try:
        if layout.CONFIG.is_file():
            installation.link()
        options.run(options)
    except UserError as error:
        print(f"error: {escaping.printable(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, e.g. `head`, has seen enough
        sys.stderr.close()
    except (OSError, RuntimeError) as error:
        if told := refusal(error):
            print(f"error: {told}", file=sys.stderr)
            return 1
        raise
    return 0


def check(options: argparse.Namespace) -> None:
    """Check every study and simulation, and list them; or check one, and list its cells."""
    asked = None
    if options.study is not None:  # its reduced settings are in the same file
        asked = [options.study, *({options.study + REDUCED} & set(_names()))]
    project = load_project(asked=asked)
    known, papers = project.targets, project.papers
    for warning in project.check_machine(project.built if options.study is None else [options.study]):
        print(f"warning: {warning}", file=sys.stderr)
    if options.study is None:
        for name, target in known.items():
            cells, cell, parts, part = _counted(target)
            print(f"{name:32}{cells:6} {cell:5} {parts:4} {part:6} {target.title}")
        for name, paper in papers.items():
            number = len(paper.studies)
            print(f"{name:32}{number:6} {noun(number, 'study', 'studies')}: {', '.join(paper.studies)}")
        return
    target = find_study(known, options.study)
    print("{}: {}\n{} {} in {} {}".format(target.name, target.title, *_counted(target)))
    lines = [line for name, names in _parts(target).items() for line in ("", name, *(f"  {cell}" for cell in names))]
    room = max(10, shutil.get_terminal_size().lines - 5) if sys.stdout.isatty() else len(lines)
    print("\n".join(lines[:room]))
    if lines[room:]:
        print(f"\nand {count(len(lines) - room, 'more line')}: `gengap check {target.name} | less` shows them all.")


def scale(options: argparse.Namespace) -> None:
    """Print the names of the studies that `make run` builds: with full or with reduced settings."""
    names, gpu = _names(), machine.has_nvidia_gpu()
    papers = load_papers(layout.PAPERS, names)
    asked = papers[options.study].studies if options.study in papers else [options.study]
    known = _known(name + suffix for name in asked for suffix in ("", REDUCED) if name + suffix in names)
    if options.study not in papers:
        print(_scaled(known, options.study, options.scale, gpu=gpu))
        return
    # A study of a paper may be small enough to have one set of settings only.
    wanted = {name: "full" if name + REDUCED not in known else options.scale for name in papers[options.study].studies}
    print(*(_scaled(known, name, scale, gpu=gpu) for name, scale in wanted.items()))


def summary(options: argparse.Namespace) -> None:
    """Summarise finished studies: networks, verdicts, and where the results are."""
    every = _names()
    names = written_out(options.studies, every, load_papers(layout.PAPERS, every))
    known = _known(names)
    for name in names:
        _summarise(find_study(known, name))


def _summarise(study: Study | Simulation) -> None:
    folder = layout.results(study.name)
    try:
        metrics: dict[str, Any] = json.loads(layout.metrics(study.name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: there are no finished results. Run `make run STUDY={study.name}`.") from error
    lines = {
        "cells": _counts(metrics["cells"]),
        "verdicts": _verdicts(metrics) if study.published else "no published numbers to compare with",
        "report": layout.report(study.name),
        "figures": layout.figures(study.name),
        "tables": layout.tables(study.name),
        "verdict table": layout.verdicts(study.name) if study.published else "",
        "measurements": f'{layout.measurements(study.name)}, in Python: gengap.load("{folder}")',
    }
    print(f"{study.name}: {study.title}")
    for key, value in lines.items():
        if value.exists() if isinstance(value, Path) else value:
            print(f"  {key:14}{value}")


def plan(options: argparse.Namespace) -> None:
    """Predict what studies will cost on this machine: the jobs to run, the work left in them, and the time."""
    from gengap.cost import plan
    from gengap.snakemake_support import due

    with logs.job():
        legacy_names.rename()
    with due.asked(options.studies) as outputs:  # for a large study, that takes as long as reading it here
        project, cores = load_project(asked=options.studies), len(os.sched_getaffinity(0))
        known = project.targets
        gc.freeze()  # as in the Snakefile
        atexit.register(gc.unfreeze)  # some libraries complain of what was not collected at the end
        project.check_machine(options.studies)
        chosen = [find_study(known, name) for name in project.written_out(options.studies)]
        for line in plan.plan(chosen, known, cores, outputs):
            print(line)


def status(options: argparse.Namespace) -> None:
    """Show what is finished, running or failed, and why: of studies, or of those that a run without a name builds."""
    from gengap.cli import status

    with logs.job():
        legacy_names.rename()
    project = load_project(asked=options.studies or ["all"])
    known, names = project.targets, project.written_out(options.studies or project.built)
    for line in status.status([find_study(known, name).name for name in names], known):
        print(escaping.printable(line))


def clean(options: argparse.Namespace) -> None:
    """List stored networks that no study refers to and files of killed jobs; remove them after you confirm."""
    from gengap.cli import clean

    wanted = clean.wanted(load_studies(layout.STUDIES), Path())
    stale = list(clean.stale(Path(), layout.STORE, wanted, options.days))
    if (store := fsck.configured_store(Path())) != layout.STORE:
        print(f"{store}: is named in {layout.CONFIG}, so other projects may use it; nothing of it is removed.")
    if layout.STORE.resolve() != Path.cwd().resolve() / layout.STORE:
        print(f"{layout.STORE} is a link to {layout.STORE.resolve()}: other projects may use what lies there.")
    if wanted.settings:
        print(f"Labelled data are missing for {count(len(wanted.settings), 'cell')}; their stored results are kept.")
    if not stale:
        print("Nothing can be removed.")
        return
    for why in dict.fromkeys(file.why for file in stale):
        those = [file for file in stale if file.why == why]
        print(f"{why}: {_files(those)}")
        for file in those[:_SHOWN]:
            print(f"  {_size(file.size):>10}  {file.path}")
        if len(those) > _SHOWN:
            print(f"  {'':10}  and {len(those) - _SHOWN} more")
    if not options.yes and not (
        sys.stdin.isatty() and input(f"Remove {_files(stale)}? [y/N] ").lower() in ("y", "yes")
    ):
        print("Nothing was removed. `gengap clean --yes` removes it.")
        return
    for file in stale:
        file.path.unlink(missing_ok=True)
    print(f"Removed {_files(stale)}.")


def explain(options: argparse.Namespace) -> None:
    """Show how a result was made: the chain from a figure, table or HDF5 file back to the raw data."""
    from gengap.cli import explain

    print(*explain.explain(Path(options.file)), sep="\n", flush=True)
    print(*explain.still_due(Path(options.file)), sep="\n")


def schema(options: argparse.Namespace) -> None:
    """Print the JSON schema of study files, for editors."""
    print(editor_schema.text(), end="")


def new(options: argparse.Namespace) -> None:
    """Write a new part or study: a working skeleton and its test."""
    from gengap.cli import new

    for path in new.new(options.kind, options.name, plugin=options.plugin):
        print(f"wrote {path}")
    # A lab's schema has its own parts; that of gengap's source only those of the package. This process has read them.
    if options.kind != new.STUDY and layout.STUDY_SCHEMA.is_file() and not layout.is_checkout():
        ask = [sys.executable, "-c", "from gengap.cli.main import main; main(['schema'])"]
        text = subprocess.run(ask, stdout=subprocess.PIPE, check=True, text=True).stdout
        storage.write_text(layout.STUDY_SCHEMA, text)
        print(f"wrote {layout.STUDY_SCHEMA}, in which editors find it")


def _names() -> list[str]:
    """Of all studies and simulations."""
    names = study_names(layout.STUDIES)
    return [*names, *load_simulations(layout.SIMULATIONS, names)]


def _known(names: Iterable[str]) -> dict[str, Study | Simulation]:
    """These studies, and all simulations; where a name is unknown, all studies, so that a message lists them."""
    of_studies, only = study_names(layout.STUDIES), set(names)
    simulations = load_simulations(layout.SIMULATIONS, of_studies)
    known = only <= {*of_studies, *simulations}
    return {**load_studies(layout.STUDIES, only if known and only else None), **simulations}


def _parts(target: Study | Simulation) -> Mapping[str, Sequence[str]]:
    """Names of the cells of each job."""
    if isinstance(target, Study):
        return packs(target)
    return {path_name(name): cell_names(name, point) for name, point in target.points.items()}


def _counted(target: Study | Simulation) -> tuple[int, str, int, str]:
    """How many cells and jobs, and what they are called."""
    if isinstance(target, Study):
        numbers, words = (len(target.cells), len(packs(target))), ("cell", "pack")
    else:
        numbers, words = (target.n_draws, len(target.points)), ("draw", "point")
    (cells, parts), (cell, part) = numbers, map(noun, numbers, words)
    return cells, cell, parts, part


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


def _files(found: Sequence["Stale"]) -> str:
    return f"{len(found):,} file{'s' if len(found) > 1 else ''}, {_size(sum(file.size for file in found))}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.1f} MiB" if n_bytes >= 2**20 else f"{n_bytes / 2**10:.1f} KiB"


def _verdicts(metrics: Mapping[str, Any]) -> str:
    """Counts of verdicts; where numbers were compared with several alternatives, also of the numbers themselves."""
    verdicts, published = metrics["verdicts"], metrics.get("published", {})
    if sum(verdicts.values()) == published.get("numbers", sum(verdicts.values())):
        return _counts(verdicts)
    told = f"{published['agreeing']} of {published['numbers']} printed numbers agree with at least one alternative"
    if published.get("disagreeing"):
        told += f", {published['disagreeing']} disagree ({published['disagreeing_holm']} after Holm's correction)"
    return f"{_counts(verdicts)} over all alternatives; {told}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"


def parser() -> argparse.ArgumentParser:
    """All commands with their arguments."""
    whole = Parser(
        prog="gengap",
        description="Check, plan, watch and compare studies of small networks, in the project's folder. "
        "`make run STUDY=...` or `snakemake STUDY` trains them.",
    )
    version = provenance.version_of("gengap") or "(not installed)"
    whole.add_argument("--version", action="version", version=f"%(prog)s {version}")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for run, with_study in (
        (check, "?"),
        (summary, "+"),
        (scale, None),
        (plan, "+"),
        (status, "*"),
        (explain, ""),
        (schema, ""),
        (new, ""),
        (clean, ""),
    ):
        text = (run.__doc__ or "").split(".")[0]
        command = commands.add_parser(run.__name__, help=text, description=text + ".")
        command.set_defaults(run=run)
        if with_study != "":
            many = with_study in ("+", "*")
            command.add_argument(
                "studies" if many else "study",
                nargs=with_study,
                metavar="STUDY|PAPER" if many or run is scale else "STUDY",
                help="name of a file in config/studies or config/simulations"
                + (", or of a paper in config/papers.yaml" if many or run is scale else ""),
            )
        if run is scale:
            command.add_argument("scale", choices=("auto", "full", "reduced"))
        if run is new:
            from gengap.cli.new import KINDS

            command.add_argument("kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))
            command.add_argument("name", metavar="NAME", help="its name, and that of its file")
            command.add_argument("--plugin", action="store_true", help="write into plugins/, not into the package")
        if run is explain:
            command.add_argument("file", metavar="FILE", help="any file below results or data")
        if run is clean:
            command.add_argument("--yes", action="store_true", help="remove without asking")
            days = "age of an unfinished pack or half-written file to be removed (default: 7)"
            command.add_argument("--days", type=numbers.from_zero, default=7.0, help=days)
    parts.add_parser(commands)
    init.add_parser(commands)
    grow.add_parser(commands)
    completion.add_parser(commands)
    files.add_parsers(commands)
    exchange.add_parsers(commands)
    campaign.add_parser(commands)
    evidence.add_parser(commands)
    findings.add_parser(commands)
    fsck.add_parser(commands)
    scoreboard.add_parser(commands)
    report.add_parser(commands)
    publish.add_parser(commands)
    watch.add_parser(commands)
    tensorboard.add_parser(commands)
    return whole
