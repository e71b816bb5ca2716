"""The command `gengap report`: finished studies as one page of HTML that opens offline, results first."""

import argparse
import base64
import re
from collections.abc import Collection, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from gengap import layout
from gengap.counting import count
from gengap.errors import UserError
from gengap.evidence.verdicts import AGREES, DISAGREES, NOT_COMPARABLE
from gengap.files import storage
from gengap.registry import check
from gengap.studies.names import REDUCED
from gengap.studies.project import load_project
from gengap.studies.simulation import Simulation
from gengap.studies.study import Study, find_study

OPEN = "open"
_NUMBER = ["source", "table", "row", "quantity"]


def add_parser(commands: Any) -> None:
    """Add the command to those of `gengap`."""
    text = "Write finished studies as one page of HTML, results first"
    command = commands.add_parser("report", help=text, description=text + ".")
    command.set_defaults(run=run)
    command.add_argument("studies", nargs="+", metavar="STUDY|PAPER", help="names of studies, simulations or papers")
    command.add_argument("--to", metavar="FILE", help="the page; by default beside the results of the first")


def run(options: argparse.Namespace) -> None:
    """Write the page and say where it is.

    Raises:
        UserError: If a study is unknown or not finished.
    """
    project = load_project(asked=options.studies)
    known, names = project.targets, project.written_out(options.studies)
    path = Path(options.to) if options.to else layout.report(options.studies[0])
    storage.write_text(path, page([find_study(known, name) for name in names], project.names))
    print(f"wrote {path}")


def page(targets: Sequence[Study | Simulation], names: Collection[str] = ()) -> str:
    """One self-contained page: what agrees with print, then every study with its figures and tables.

    Args:
        targets: The studies.
        names: Of all studies, by which those are known that have reduced settings as well.

    Raises:
        UserError: If one is not finished.
    """
    found = {target.name: _verdicts(target) for target in targets}
    every = pd.concat([table for table in found.values() if len(table)] or [pd.DataFrame()], ignore_index=True)
    links = "".join(f'<a href="#{escape(one.name)}">{escape(one.title)}</a>' for one in targets)
    style = layout.report_style("page").read_text(encoding="utf-8")
    heading = f"Results of {targets[0].name}" if len(targets) == 1 else "Results"
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(heading)}</title>\n<style>\n{style}</style>",
        f"<h1>{escape(heading)}</h1>",
        f"<nav>{links}</nav>" if len(targets) > 1 else "",
        _board(every) if len(every) else "",
        *(_study(target, found[target.name], names) for target in targets),
    ]
    return "\n".join(part for part in parts if part) + "\n</html>\n"


def numbers(verdicts: pd.DataFrame) -> pd.DataFrame:
    """One row per printed number: it agrees if an alternative does, and disagrees if it was compared and none does.

    Returns:
        Columns ``study``, ``source``, ``table``, ``row``, ``quantity``, ``published`` and ``verdict``.
    """
    rows = []
    for _, part in verdicts.groupby(["study", *_NUMBER], sort=False, dropna=False):
        words = set(part["verdict"])
        verdict = AGREES if AGREES in words else DISAGREES if DISAGREES in words else OPEN
        rows.append(part.iloc[0][["study", *_NUMBER, "published"]].to_dict() | {"verdict": verdict})
    return pd.DataFrame(rows, columns=["study", *_NUMBER, "published", "verdict"])


def _board(verdicts: pd.DataFrame) -> str:
    """All printed numbers as one picture: a row per printed table, a mark per number."""
    found = numbers(verdicts)
    lines = []
    for (study, source, table), part in found.groupby(["study", "source", "table"], sort=False):
        marks = "".join(
            f'<a class="mark {row["verdict"]}" href="#verdicts-{escape(str(study))}" title="{_told(row)}"></a>'
            for row in part.to_dict("records")
        )
        label = f'<a href="#{escape(str(study))}">{escape(f"{source}, {_table(str(table))}: {study}")}</a>'
        lines.append(f'<div>{label}</div><div class="row">{marks}<span class="told">{_counts(part)}</span></div>')
    legend = "".join(
        f'<span class="mark {word}"></span> {meaning} &emsp; '
        for word, meaning in ((AGREES, "agrees"), (DISAGREES, "disagrees"), (OPEN, "open: not comparable yet"))
    )
    return (
        f"<h3>Published numbers beside ours: {_counts(found)}</h3>\n"
        f'<p>{legend}</p>\n<div class="board">\n' + "\n".join(lines) + "\n</div>"
    )


def _table(name: str) -> str:
    return f"Table {name}" if re.match(r"[A-Z]?[\d.]+$", name) else name


def _told(row: dict[Any, Any]) -> str:
    return escape(f"{row['row']}: {row['quantity'].replace('_', ' ')} {row['published']}, {row['verdict']}", quote=True)


def _counts(found: pd.DataFrame) -> str:
    counts = {word: int((found["verdict"] == word).sum()) for word in (AGREES, DISAGREES, OPEN)}
    verbs = {AGREES: "agree", DISAGREES: "disagree", OPEN: "open"}
    return ", ".join(f"{count} {verbs[word]}" for word, count in counts.items() if count) or "none"


def _study(target: Study | Simulation, verdicts: pd.DataFrame, names: Collection[str]) -> str:
    """A study: its question, what was left open, its figures, its tables, its verdicts."""
    name = target.name
    parts = [f'<h2 id="{escape(name)}">{escape(target.title)}</h2>', f"<p>{_inline(target.question)}</p>"]
    size = count(len(target.cells), "network") if isinstance(target, Study) else count(target.n_draws, "draw")
    settings = ""
    if target.reduced:
        settings = ", with reduced settings: they show which way a study points, and are never compared with print"
    elif name + REDUCED in names:  # a study without reduced settings has one set, which needs no name
        settings = ", with full settings"
    source = f"Source: {_inline(target.source)}. " if target.source else ""
    parts.append(f"<p>{source}{size}{settings}.</p>")
    if target.choices:
        listed = "".join(f"<li>{_inline(choice)}</li>" for choice in target.choices)
        parts.append(f"<details><summary>What the source leaves open</summary><ul>{listed}</ul></details>")
    parts += [_figure(name, figure.name) for figure in target.figures]
    for table in target.tables:
        parts.append(f"<h3>{escape(table.name.replace('_', ' ').capitalize())}</h3>")
        parts.append(_embedded(layout.table(name, table.name, "html")))
        parts.append(f"<p>{_caption('table', table.name, name)}</p>")
    if len(verdicts):
        parts.append(f'<h3 id="verdicts-{escape(name)}">Published numbers and ours</h3>')
        parts.append(f"<p>{_counts(numbers(verdicts))}.</p>")
        parts.append(_embedded(layout.table(name, "verdicts", "html")))
    return "\n".join(parts)


def _figure(study: str, name: str) -> str:
    picture = base64.b64encode(_read(layout.page_figure(study, name, "png"))).decode()
    width = "min(100%, 52rem)"  # of a journal's page, a little larger than in print
    image = f'<img style="width: {width}" alt="{escape(name)}" src="data:image/png;base64,{picture}">'
    caption = _caption("figure", name, study)
    return f'<figure id="{escape(study)}-{escape(name)}">{image}<figcaption>{caption}</figcaption></figure>'


def _embedded(path: Path) -> str:
    """The table of a page that a job wrote."""
    table = re.search(r"<table>.*</table>", _read(path).decode("utf-8"), re.DOTALL)
    return f'<div class="scroll">{table[0]}</div>' if table else "<p>There is nothing to show.</p>"


def _caption(kind: str, name: str, study: str) -> str:
    return _inline(check(kind, name).caption.replace("{{ snakemake.wildcards.study }}", study))


def _inline(text: str) -> str:
    """The marks of reStructuredText that captions and questions have: bold, italic, code."""
    safe = escape(text.strip(), quote=False)
    for pattern, tag in ((r"``(.+?)``", "code"), (r"\*\*(.+?)\*\*", "b"), (r"(?<![*\w])\*([^*\s][^*]*)\*", "i")):
        safe = re.sub(pattern, rf"<{tag}>\1</{tag}>", safe, flags=re.DOTALL)
    return safe


def _verdicts(target: Study | Simulation) -> pd.DataFrame:
    """The verdicts of a study; none where nothing was published."""
    table = pd.read_csv(layout.verdicts(target.name)) if layout.verdicts(target.name).exists() else None
    if table is None:
        raise UserError(
            f"{layout.verdicts(target.name)}: is missing. Run the study first: make run STUDY={target.name}."
        )
    return table.assign(verdict=table["verdict"].fillna(NOT_COMPARABLE)) if len(table) else table


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}). Run the study first.") from error
