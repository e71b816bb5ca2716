"""The command `gengap findings`: is every measured number in the pages of docs/findings in the evidence beside them?

A number with a decimal point or a percent sign is measured, and must be in a table of evidence, rounded as it is
printed: in one that its section names in backticks, or, if it names none, in any below the folders that the page names.
Other numbers are counts and settings. What a source printed (config/published) or a study sets is known; other facts
are declared in a comment of the section or, before the first heading of second order, for the page:

    <!-- facts: 95 %; 0.5 -->
    <!-- not in the evidence: 42.1; 7 % -->

The second kind is a confession: such numbers are listed each time. A number that happens to be in another row of a
table passes, so the check finds what nothing gives, and not every mistake.
"""

import argparse
import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gengap import layout
from gengap.counting import count, noun
from gengap.errors import UserError

_COMMENT = re.compile(r"<!--\s*(facts|not in the evidence):(.*?)-->", re.DOTALL)
# What is no prose: comments, blocks and spans of code, targets of links; and numbers of figures, tables, papers.
_APART = re.compile(r"<!--.*?-->|```.*?```|`[^`]*`|\]\([^)]*\)|https?://\S+|arXiv:\S+", re.DOTALL)
_REFERENCE = re.compile(
    r"\b(?:Figs?\.|Figures?|Tables?|[Ss]ections?|[Cc]hapters?|[Aa]ppendix|Eqs?\.|Theorems?|PyTorch|Python)\s+"
    r"[A-Z]?[\d.]*\d(?:(?:, | and | to | or )[A-Z]?[\d.]*\d)*"
)
_NUMBER = re.compile(r"(?<![\w.,^-])([-−]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(\s?%|\s*±)?(?![\w^]|\.\d)")
_NAMED = re.compile(r"`([\w./=+-]+?)(\.csv|/<study>/|/)`")


@dataclass(frozen=True)
class Number:
    """A measured number of a page.

    Attributes:
        text: As it is printed, with its percent sign.
        value: Its value.
        decimals: How many decimals are printed.
        line: Where.
    """

    text: str
    value: float
    decimals: int
    line: int

    def is_in(self, values: Iterable[float]) -> bool:
        """Whether one of some values is printed so, as itself or in percent, whatever its sign."""
        slack = 0.5 * 10.0**-self.decimals * (1 + 1e-6) + 1e-12
        return any(abs(abs(value) * scale - abs(self.value)) <= slack for value in values for scale in (1.0, 100.0))


def add_parser(commands: Any) -> None:
    """Add the command."""
    text = f"Check that every measured number in the pages of {layout.FINDINGS} is in the evidence"
    commands.add_parser("findings", help=text, description=f"{text}.").set_defaults(run=findings)


def findings(options: argparse.Namespace) -> None:
    """Check all pages.

    Raises:
        UserError: It names every number that no evidence gives.
    """
    del options
    wrong: list[str] = []
    for page in sorted(layout.FINDINGS.glob("*.md")):
        checked, missing, confessed = check(page)
        print(f"{page}: {checked} measured numbers, {len(confessed)} declared as not in the evidence")
        if confessed:
            print(f"  not in the evidence: {', '.join(confessed)}")
        wrong += [f"{page}:{one.line}: {one.text}" for one in missing]
    if wrong:
        raise UserError(
            f"{count(len(wrong), 'number')} {noun(len(wrong), 'is', 'are')} in no evidence that the section names:\n  "
            + "\n  ".join(wrong)
            + "\n"
            "Correct them, name the table in backticks, or declare them in a comment; docs/versioning.md says how."
        )


def check(page: Path) -> tuple[int, list[Number], list[str]]:
    """Check one page.

    Args:
        page: The Markdown file.

    Returns:
        How many measured numbers it has; those that no evidence gives; what it declares as not in the evidence.
    """
    text = page.read_text(encoding="utf-8")
    known = _known_numbers()
    folders = _folders(page, text)
    tables = {path: _values(path) for folder in folders for path in sorted(folder.rglob("*.csv"))}
    tables |= {path: _values(path) for path in _named_tables(page, text)}
    shared, first = _declared(text.partition("\n## ")[0]), 1
    count, missing, confessed = 0, [], []
    for section in re.split(r"(?m)^(?=## )", text):
        facts, admitted = _declared(section)
        confessed += admitted
        chosen = _named_tables(page, section)
        values = [value for path in chosen or tables for value in tables[path]]
        for number in numbers(section, first):
            count += 1
            declared = {*facts, *admitted, *shared[0], *shared[1]}
            if number.text not in declared and not number.is_in(known) and not number.is_in(values):
                missing.append(number)
        first += section.count("\n")
    return count, missing, list(dict.fromkeys(confessed))


def numbers(text: str, first_line: int = 1) -> Iterator[Number]:
    """The measured numbers of a text: those with a decimal point or a percent sign."""
    prose = text
    for kind in (_APART, _REFERENCE):
        prose = kind.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), prose)
    for found in _NUMBER.finditer(prose):
        _, whole, decimals, sign = found.groups()
        percent = " %" if sign and sign.strip() == "%" else ""
        if decimals or percent:
            value = float(whole.replace(",", "") + (decimals or ""))
            line = first_line + prose.count("\n", 0, found.start())
            yield Number(f"{whole}{decimals or ''}{percent}", value, len(decimals or ".") - 1, line)


def _declared(text: str) -> tuple[list[str], list[str]]:
    """What a text declares: facts, and numbers that are not in the evidence."""
    found: Mapping[str, list[str]] = {"facts": [], "not in the evidence": []}
    for kind, listed in _COMMENT.findall(text):
        found[kind].extend(re.sub(r"\s*%", " %", one.strip()) for one in listed.split(";"))
    return found["facts"], found["not in the evidence"]


def _folders(page: Path, text: str) -> list[Path]:
    """The folders of evidence that a page names, as `song/` or `song/<study>/`; that of its own name first."""
    named = [page.stem, *(name for name, ending in _NAMED.findall(text) if ending != ".csv")]
    return [folder for name in dict.fromkeys(named) if (folder := page.parent / name).is_dir()]


def _named_tables(page: Path, text: str) -> list[Path]:
    """The tables that a text names: from the page's folder, or by the last parts of their names below it."""
    files: list[Path] = []
    for name, ending in _NAMED.findall(text):
        if ending == ".csv":
            file = Path(f"{name}.csv")
            files += [path for path in page.parent.rglob(file.name) if path.parts[-len(file.parts) :] == file.parts]
    return list(dict.fromkeys(files))


def _known_numbers() -> list[float]:
    """Numbers that sources printed, and that studies set."""
    printed = [row for path in layout.PUBLISHED.glob("*.csv") for row in path.read_text(encoding="utf-8").split(",")]
    settings = [
        word
        for folder in (layout.STUDIES, layout.SIMULATIONS)
        for path in folder.glob("*.yaml")
        for word in re.findall(r"(?<![\w.])\d+\.\d+(?:e-?\d+)?|(?<![\w.])\d+e-\d+", path.read_text(encoding="utf-8"))
    ]
    return [float(one) for one in (*printed, *settings) if _is_number(one)]


def _values(path: Path) -> list[float]:
    with path.open(encoding="utf-8", newline="") as file:
        cells = {cell for row in csv.reader(file) for cell in row}
    words = {
        word for cell in cells for word in (re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", cell) if " " in cell else [cell])
    }
    return [value for word in words if _is_number(word) and math.isfinite(value := float(word))]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
