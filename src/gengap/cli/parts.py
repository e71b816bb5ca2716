"""The command `gengap parts`: what a study can name, with its options, also where docs/reference.md is not at hand."""

import argparse
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from gengap import escaping
from gengap.errors import unknown_name
from gengap.reference_docs.reference_page import shown_default, with_choices
from gengap.registry import REGISTRY
from gengap.studies import settings, study
from gengap.studies.schema import Settings
from gengap.studies.settings import allowed_options

_COLUMN, _WIDEST = 26, 120  # where explanations begin, and the longest line
_NARROW = 20  # fewest columns of an explanation


def add_parser(commands: Any) -> None:
    """Add the command to those of `gengap`."""
    text = "List the parts that a study can name (probes, figures, models, ...), or explain one"
    command = commands.add_parser("parts", help=text, description=text + ".")
    command.set_defaults(run=run)
    command.add_argument("kind", metavar="KIND", nargs="?", choices=(*REGISTRY,), help=", ".join(REGISTRY))
    command.add_argument("name", metavar="NAME", nargs="?", help="name of a part")


def run(options: argparse.Namespace) -> None:
    """Print the kinds, the parts of a kind, or one part.

    Raises:
        UserError: If there is no such part.
    """
    if options.kind is None:
        rows: Iterable[tuple[str, str]] = _kinds()
    elif options.name is None:
        rows = ((name, entry.summary) for name, entry in REGISTRY[options.kind].items())
    else:
        rows = _explained(options.kind, options.name)
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    for name, text in rows:
        print("\n".join(escaping.printable(line) for line in _row(name, text, width)))


def _kinds() -> Iterator[tuple[str, str]]:
    for kind in REGISTRY:
        yield kind, ", ".join(REGISTRY[kind])
    yield "", ""
    yield "gengap parts KIND", "a line on each"
    yield "gengap parts KIND NAME", "one with its options"


def _explained(kind: str, name: str) -> Iterator[tuple[str, str]]:
    if name not in REGISTRY[kind]:
        raise unknown_name(kind, name, list(REGISTRY[kind]), where="gengap parts")
    part = REGISTRY[kind][name]
    yield name, part.summary
    for key, option in part.options.items():
        yield f"  {key}", f"{with_choices(option)} Default: {shown_default(option.default)}."
    shared = _shared(kind)
    for key in allowed_options(kind, name):
        if key in shared and key not in part.options:
            yield f"  {key}", f"{shared[key].description} Default: {shown_default(shared[key].default)}."
    if part.quantities:
        yield "measures", ""
    for quantity, declared in part.quantities.items():
        yield f"  {quantity}", declared.meaning
    if part.needs:
        yield "needs the quantities", ", ".join(part.needs)
    for key, least in part.varies.items():
        yield "needs a grid", f"with at least {least} values of {key}"
    yield "file", str(part.path)


def _shared(kind: str) -> Mapping[str, FieldInfo]:
    """Settings that parts of a kind have in common."""
    if kind == "probe":
        return study.Probe.model_fields
    section = settings.Cell.model_fields[kind].annotation if kind in settings.Cell.model_fields else None
    return section.model_fields if isinstance(section, type) and issubclass(section, Settings) else {}


def _row(name: str, text: str, width: int) -> list[str]:
    """A name and what it means, in as many lines as the terminal needs; a long name has a line of its own."""
    lines = textwrap.wrap(text, max(width - _COLUMN, _NARROW), break_long_words=False, break_on_hyphens=False) or [""]
    first = [name] if len(name) >= _COLUMN else []
    beside = f"{'' if first else name:{_COLUMN}}{lines[0]}".rstrip()
    return [*first, beside, *(" " * _COLUMN + line for line in lines[1:])]
