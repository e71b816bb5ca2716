"""The reference page `docs/reference.md`, written from the registries, the settings and the quantities.

Run ``python -m gengap.reference_docs.reference_page docs/reference.md`` after changing one of them; a test compares.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gengap.files import storage
from gengap.quantities import QUANTITIES
from gengap.registry import REGISTRY
from gengap.studies import settings, simulation, study
from gengap.studies.schema import Settings

_TITLES = {
    "dataset": "Datasets",
    "labels": "Label rules",
    "model": "Models",
    "init": "Initialisations",
    "loss": "Losses",
    "optimizer": "Optimisers",
    "schedule": "Schedules",
    "probe": "Probes",
    "simulation": "Simulations",
    "figure": "Figures",
    "table": "Tables",
}


def markdown() -> str:
    """The whole page."""
    parts = [
        "# Reference",
        "Written by `python -m gengap.reference_docs.reference_page docs/reference.md` from the code: change it there.",
        "## Keys of a study file",
        _settings_table(study.StudyFile),
        "`reduced:` may hold any of these keys; its values replace the others when `<study>-reduced` is run.",
        "## Keys of `base`, and of the grid with a dot",
        *(part for section in settings.Cell.model_fields for part in _section(section)),
        "## A probe in `probes`",
        "A name alone, or these keys:",
        _settings_table(study.Probe),
        "## Keys of a simulation's file",
        _settings_table(simulation.SimulationFile),
        "In `base` and `grid`, `seed` and those of these keys that the simulation uses:",
        _settings_table(simulation.Point, without="seeds"),
        "## Names",
        *(part for kind in REGISTRY for part in (f"### {_TITLES[kind]}", _names_table(kind))),
        "## Quantities",
        "Percentages are stored as fractions and shown in percent.",
        _rows(
            ("name", "symbol", "unit", "meaning"),
            [(f"`{q.name}`", f"${q.symbol}$" if q.symbol else "", q.unit, q.meaning) for q in QUANTITIES.values()],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _section(section: str) -> tuple[str, ...]:
    kind = settings.Cell.model_fields[section].annotation
    if isinstance(kind, type) and issubclass(kind, Settings):
        return f"### `{section}`", (kind.__doc__ or "").splitlines()[0], _settings_table(kind)
    return f"### `{section}`", settings.Cell.model_fields[section].description or ""


def _settings_table(model: type[Settings], without: str = "") -> str:
    rows = []
    for key, field in model.model_fields.items():
        if key == without:
            continue
        default = "required" if field.is_required() else f"`{_spell(field.default)}`"
        rows.append((f"`{key}`", default, field.description or ""))
    return _rows(("key", "default", "meaning"), rows)


def _names_table(kind: str) -> str:
    rows = []
    for name, entry in REGISTRY[kind].items():
        options = entry.options + settings.COMMON_OPTIONS.get(kind, ())
        rows.append((f"`{name}`", entry.summary, ", ".join(f"`{option}`" for option in options)))
    return _rows(("name", "what", "options"), rows)


def _spell(value: Any) -> str:
    if isinstance(value, Settings):
        return "see below"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value) or '""'


def _rows(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    storage.write_text(Path(sys.argv[1]), markdown())
