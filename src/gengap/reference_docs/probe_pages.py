"""The page `docs/probes.md`: what every probe measures, written from the probes' own headers and docstrings.

``make docs`` writes it; a test compares. The pictures are those of `gengap.reference_docs.probe_pictures`.
"""

import inspect
import re
from collections.abc import Sequence

from gengap import registry
from gengap.quantities import QUANTITIES, RESCALED


def markdown() -> str:
    """The whole page."""
    parts = [
        "# Probes",
        "Written by `make docs` from the probes' headers and docstrings: change it there.",
        "A probe measures saved weights and trains nothing. K is the number of networks that are measured together; "
        "shapes without K are of one network. Every row that a probe writes states its BatchNorm mode. "
        "Percentages are stored as fractions and shown in percent. The pictures are of the study `every_probe`: "
        "networks of the quickstart, widths 4 and 8, three seeds each; bands are the range over seeds. The column "
        "*rescaled* says whether a measure stays the same when the weights and biases of a hidden layer are multiplied "
        "by a positive number and the next layer's weights divided by it. A network of ReLUs without BatchNorm is the "
        "same function then, and only a measure that stays the same is one of the function.",
        _table(("probe", "what"), [(f"[`{name}`](#{name})", registry.check("probe", name).summary) for name in ours()]),
        *(part for name in ours() for part in _page(name)),
    ]
    return "\n\n".join(parts) + "\n"


def ours() -> list[str]:
    """The probes of this package; a user's own are not in its documents."""
    return [name for name, entry in registry.REGISTRY["probe"].items() if not entry.external]


def _page(name: str) -> list[str]:
    entry = registry.check("probe", name)
    sections = _sections(_docstring(name))
    measured = [QUANTITIES[key] for key in entry.measured]
    header: tuple[str, ...] = ("quantity", "symbol", "unit", "meaning")
    rows: list[tuple[str, ...]] = [
        (f"`{quantity.name}`", f"${quantity.symbol}$" if quantity.symbol else "", quantity.unit, quantity.meaning)
        for quantity in measured
    ]
    if any(quantity.rescaling_invariant is not None for quantity in measured):
        header = (*header, "rescaled")
        rows = [(*row, RESCALED[one.rescaling_invariant]) for row, one in zip(rows, measured, strict=True)]
    facts = {
        "BatchNorm modes": ", ".join(f"`{mode}`" for mode in entry.batchnorm),
        "Options": ", ".join(f"`{option}`" for option in ("epochs", "batchnorm", *entry.reads, *entry.options)),
        "Cost": sections.get("Cost", ""),
        "Source": sections.get("Source", ""),
    }
    listed = "\n".join(f"- {word}: {' '.join(text.split())}" for word, text in facts.items() if text)
    picture = f"![{entry.summary}](probes/{name}.png)"
    return [f"## `{name}`", picture, sections[""], _table(header, rows), listed]


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def _docstring(name: str) -> str:
    return (inspect.getdoc(registry.load("probe", name).measure) or "").replace("``", "`")


def _sections(docstring: str) -> dict[str, str]:
    """A docstring's paragraphs by the word before their colon, ``Args`` and the like; the text itself under ''."""
    sections: dict[str, list[str]] = {"": []}
    current = ""
    for paragraph in docstring.split("\n\n"):
        header = re.match(r"(Args|Returns|Raises|Cost|Source):\s*", paragraph)
        if header:
            current = header[1]
        elif not paragraph.startswith(" "):
            current = ""
        sections.setdefault(current, []).append(paragraph[header.end() :] if header else paragraph)
    return {word: "\n\n".join(paragraphs) for word, paragraphs in sections.items()}
