"""The command `gengap scoreboard`: judge the explanations in anyone's table, or on the networks of studies."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gengap.errors import UserError

if TYPE_CHECKING:
    from gengap.scoreboard.board import Board
    from gengap.scoreboard.population import Population

READERS = ("dziugaite", "pgdl", "modelzoo")
_OWN = ("gap", "axis", "measure", "seed", "status", "at_least", "equal", "decreasing")


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    text = "Judge which measures explain the generalization gap, from a table of networks or from finished studies"
    command: argparse.ArgumentParser = commands.add_parser("scoreboard", help=text, description=f"{text}.")
    command.set_defaults(run=run)
    command.add_argument(
        "tables",
        metavar="TABLE|STUDY",
        nargs="+",
        help="CSV file with one row per network (with --read, its file or folder); or names of finished studies",
    )
    command.add_argument("--read", choices=READERS, help="read TABLE in the format in which it was published")
    command.add_argument("--example", action="store_true", help="only write an example to TABLE")
    columns = command.add_argument_group("columns of TABLE")
    columns.add_argument("--gap", metavar="COLUMN", help="the generalization gap")
    columns.add_argument(
        "--axis", nargs="+", default=[], metavar="COLUMN", help="the design: what was varied on purpose"
    )
    columns.add_argument(
        "--measure", nargs="+", default=[], metavar="COLUMN", help="measures to judge; patterns in quotes: 'norm_*'"
    )
    columns.add_argument("--seed", default="", metavar="COLUMN", help="the seed")
    columns.add_argument(
        "--status", default="", metavar="COLUMN", help="finished, dead, diverged: only finished networks count"
    )
    columns.add_argument("--parameters", default="", metavar="COLUMN", help="number of parameters, for the control")
    columns.add_argument(
        "--equal", nargs="+", default=[], metavar="COLUMN", help="compare at equal values of these, e.g. train_loss"
    )
    columns.add_argument(
        "--at-least",
        nargs="+",
        default=[],
        metavar="COLUMN=VALUE",
        help="leave out networks with less, e.g. train_accuracy=0.5",
    )
    columns.add_argument(
        "--decreasing", nargs="+", default=[], metavar="COLUMN", help="measures of which less should mean a larger gap"
    )
    settings = command.add_argument_group("settings")
    settings.add_argument(
        "--test-size",
        type=int,
        default=0,
        metavar="N",
        help="number of test samples of every gap, to filter its noise (default: no filter)",
    )
    settings.add_argument(
        "--least",
        type=float,
        default=None,
        metavar="N",
        help="effective pairs of networks in an environment (default: 12)",
    )
    settings.add_argument(
        "--resamples", type=int, default=None, metavar="N", help="resamples for the intervals (default: 1000)"
    )
    settings.add_argument(
        "--published",
        type=Path,
        metavar="FILE",
        help="published values to compare with, e.g. config/published/dziugaite_figure_1.csv",
    )
    settings.add_argument(
        "--out", type=Path, default=Path("scoreboard"), metavar="FOLDER", help="where to write (default: scoreboard)"
    )


def run(options: argparse.Namespace) -> None:
    """Judge the measures of a table or of studies, and write a scoreboard: table, page and picture."""
    if not (options.example or options.read or _is_table(options.tables[0])):
        _judge_studies(options)
        return
    if len(options.tables) > 1:
        raise UserError(
            f"{options.tables[1]}: only one table can be judged at a time. Join the rows of both, or name studies."
        )
    path = Path(options.tables[0])
    if options.example:
        example(path)
        return
    _check_numbers(options)
    from gengap.scoreboard import board, sign_error

    population = _population(path, options)
    parameters = None
    if options.parameters:
        from gengap.scoreboard.population import numbers

        parameters = numbers(population.table, options.parameters, str(path)).to_numpy()
    made = board.board(
        population,
        parameters=parameters,
        least=options.least if options.least is not None else sign_error.LEAST_SAMPLE,
        resamples=options.resamples or board.RESAMPLES,
    )
    write(made, path.stem, options.out, options.published)


def _is_table(name: str) -> bool:
    """Whether a name is that of a file, as opposed to a study's."""
    return "/" in name or "." in name or Path(name).is_file()


def _judge_studies(options: argparse.Namespace) -> None:
    """Judge the measures on the networks of all studies that are named, by the section `scoreboard` of the first."""
    from gengap import layout
    from gengap.evidence import measurements, scoreboard

    _check_numbers(options)
    for name in ("seed", "status", "parameters"):
        if getattr(options, name):
            raise UserError(f"--{name}: is for a table; the networks of a study know theirs. Leave it out.")
    evidences = [measurements.read(layout.measurements(name)) for name in options.tables]
    own = next((evidence for evidence in evidences if evidence.study.get("scoreboard")), evidences[0])
    settings = scoreboard.settings_of(own)
    given = {
        "gap": options.gap,
        "axes": options.axis,
        "measures": options.measure,
        "equal": options.equal,
        "at_least": dict(map(_bound, options.at_least)),
        "decreasing": options.decreasing,
        "test_size": options.test_size,
        "least_sample": options.least,
        "resamples": options.resamples,
    }
    settings = settings.model_copy(
        update={key: tuple(value) if isinstance(value, list) else value for key, value in given.items() if value}
    )
    write(scoreboard.made(evidences, settings), ", ".join(options.tables), options.out, options.published)


def _check_numbers(options: argparse.Namespace) -> None:
    for name, least in (("resamples", 50), ("least", 1), ("test_size", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UserError(f"--{name.replace('_', '-')}: {value:g} is not allowed, it is at least {least}.")


def example(path: Path) -> None:
    """Write a small table of simulated networks, with measures of known truth."""
    from gengap.files import storage
    from gengap.scoreboard import simulated

    storage.write_text(path, simulated.example().to_csv(index=False, float_format="%.5g", lineterminator="\n"))
    print(f"wrote {path}. Judge it with:\n  gengap scoreboard {path} {simulated.EXAMPLE_OPTIONS}")


def write(made: "Board", name: str, folder: Path, published: Path | None = None) -> None:
    """Write a scoreboard's files, and print where they are and what the verdicts are."""
    import matplotlib.style

    from gengap.evidence.figures import STYLE, save
    from gengap.evidence.figures import scoreboard as figure
    from gengap.evidence.published import read_published
    from gengap.evidence.reproduced import reproduced
    from gengap.files import storage
    from gengap.scoreboard import report

    tables = {"scoreboard": report.wide(made), "statistics": made.statistics, "levels": made.levels}
    if published is not None:
        tables["reproduced"] = reproduced(made.statistics, read_published(published), name)
    for file, table in tables.items():
        storage.write_text(folder / f"{file}.csv", table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    storage.write_text(folder / "scoreboard.md", report.markdown(made, f"Scoreboard of {name}"))
    with matplotlib.style.context(STYLE):
        drawn = figure.draw(figure.ordered(tables["scoreboard"]), made.population.decreasing)
        for kind in ("png", "pdf"):
            save(drawn, folder / f"scoreboard.{kind}", kind)
    print(*report.summary(made), sep="\n")
    if published is not None:
        counts = tables["reproduced"]["verdict"].value_counts()
        print("published values: " + ", ".join(f"{count} {word}" for word, count in counts.items()))
    print(f"wrote {folder}/scoreboard.png, .pdf, .md, .csv and {', '.join(f'{file}.csv' for file in list(tables)[1:])}")


def _population(path: Path, options: argparse.Namespace) -> "Population":
    from gengap.scoreboard import readers
    from gengap.scoreboard.population import population, read_csv

    if options.read:
        if given := [name for name in _OWN if getattr(options, name)]:
            raise UserError(
                f"--{given[0].replace('_', '-')}: --read {options.read} knows its columns. Leave one of the two out."
            )
        return readers.READERS[options.read](path)
    for name in ("gap", "axis", "measure"):
        if not getattr(options, name):
            raise UserError(
                f"{path}: --{name} is missing: name the column. `gengap scoreboard --help` lists all options."
            )
    return population(
        read_csv(path),
        gap=options.gap,
        axes=options.axis,
        measures=options.measure,
        seed=options.seed,
        status=options.status,
        at_least=dict(map(_bound, options.at_least)),
        equal=options.equal,
        decreasing=options.decreasing,
        test_size=options.test_size,
        where=str(path),
    )


def _bound(text: str) -> tuple[str, float]:
    column, _, value = text.partition("=")
    try:
        return column, float(value)
    except ValueError as error:
        raise UserError(f"--at-least: {text!r} is not allowed. Write COLUMN=VALUE, e.g. train_accuracy=0.5.") from error
