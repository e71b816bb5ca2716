"""The reference page `docs/reference.md`, written from the parts' headers, the settings and the quantities.

``make docs`` writes it; a test compares.
"""

from collections.abc import Sequence
from typing import Any

from gengap.quantities import QUANTITIES, Quantity
from gengap.registry import REGISTRY
from gengap.registry.entry import Option
from gengap.studies import sampling, scoreboard, settings, simulation, study
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
        "Written by `make docs` from the code: change it there.",
        "## Keys of a study file",
        _settings_table(study.StudyFile),
        "`reduced:` may hold any of these keys; its values replace the others when `<study>-reduced` is run.",
        "## Keys of `base`, and of the grid with a dot",
        *(part for section in settings.Cell.model_fields for part in _section(section)),
        "## A probe in `probes`",
        "Only a name, or these keys and the probe's own, which stand with its name below:",
        _settings_table(study.Probe),
        "## Keys of `sample`, and of the range of an axis",
        "`sample` stands in `grid`, beside at least one axis with a range.",
        _settings_table(sampling.Sample),
        _settings_table(sampling.Range),
        "## Keys of `until`",
        _settings_table(study.Until),
        "## Keys of `scoreboard`",
        "`docs/scoreboard.md` explains them. A study that has this section, even an empty one, has a scoreboard.",
        _settings_table(scoreboard.Scoreboard),
        "## Keys of a simulation's file",
        _settings_table(simulation.SimulationFile),
        "In `base` and `grid`: `simulation`, `seed`, and the simulation's own keys, which stand with its name below.",
        "## Names",
        *(part for kind in REGISTRY for part in _part(kind)),
        "## Quantities",
        "Percentages are stored as fractions and shown in percent.",
        _rows(
            ("name", "symbol", "unit", "meaning"),
            [(f"`{q.name}`", f"${q.symbol}$" if q.symbol else "", q.unit, q.meaning) for q in _quantities()],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _section(section: str) -> tuple[str, ...]:
    kind = settings.Cell.model_fields[section].annotation
    if isinstance(kind, type) and issubclass(kind, Settings):
        return f"### `{section}`", (kind.__doc__ or "").splitlines()[0], _settings_table(kind)
    return f"### `{section}`", settings.Cell.model_fields[section].description or ""


def _settings_table(model: type[Settings]) -> str:
    rows = []
    for key, field in model.model_fields.items():
        default = "required" if field.is_required() else f"`{shown_default(field.default)}`"
        rows.append((f"`{key}`", default, field.description or ""))
    return _rows(("key", "default", "meaning"), rows)


def _part(kind: str) -> tuple[str, ...]:
    """The names of one kind, and the options that a single one of them reads."""
    ours = {name: entry for name, entry in REGISTRY[kind].items() if not entry.external}
    rows, own = [], []
    for name, entry in ours.items():
        options = (*entry.reads, *entry.options, *settings.COMMON_OPTIONS.get(kind, ()))
        rows.append((f"`{name}`", entry.summary, ", ".join(f"`{option}`" for option in options)))
        own += [
            (f"`{name}`", f"`{key}`", f"`{shown_default(option.default)}`", with_choices(option))
            for key, option in entry.options.items()
        ]
    tables = [_rows(("name", "what", "options"), rows)]
    if own:
        tables.append(_rows(("name", "option", "default", "meaning"), own))
    return f"### {_TITLES[kind]}", *tables


def with_choices(option: Option) -> str:
    """What an option means, and what it may be."""
    return option.meaning + (f" One of: {', '.join(option.choices)}." if option.choices and not option.type else "")


def _quantities() -> list[Quantity]:
    """All but those of a user's own parts."""
    measuring = [entry for kind in ("probe", "simulation") for entry in REGISTRY[kind].values() if entry.external]
    foreign = {name for entry in measuring for name in entry.quantities}
    return [quantity for name, quantity in QUANTITIES.items() if name not in foreign]


def shown_default(value: Any) -> str:
    """A default as a study would write it."""
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
