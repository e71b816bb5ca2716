"""Every name a study may use, in one table per kind.

A new dataset, label rule, model, init, loss, optimiser or schedule is one new file and one line in `cells`; a new
probe, simulation, figure or table is one new file and one line in `evidence`. The tables name modules as text, so that
the workflow can check a study without importing torch.
"""

import importlib
from types import ModuleType

from gengap.errors import UserError, unknown_name
from gengap.registry.cells import CELLS
from gengap.registry.entry import Entry
from gengap.registry.evidence import EVIDENCE

__all__ = ["REGISTRY", "Entry", "check", "load"]

REGISTRY: dict[str, dict[str, Entry]] = CELLS | EVIDENCE


def check(kind: str, name: str, *, where: str = "") -> Entry:
    """Return the entry of a name, or raise a `UserError` that lists the names of that kind."""
    table = REGISTRY[kind]
    if name not in table:
        raise unknown_name(kind, name, table, where=where)
    return table[name]


def load(kind: str, name: str) -> ModuleType:
    """Import the module that implements a registered name."""
    entry = check(kind, name)
    try:
        return importlib.import_module(entry.module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"the {kind} '{name}' needs the package '{error.name}'. Install it, or run `make env`."
        ) from error
