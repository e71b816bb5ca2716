"""The columns of a study's table of cells: settings, facts and quantities, each name once.

A header names options and quantities of its own, which become columns beside those that are always there.
"""

from gengap import registry
from gengap.errors import UserError
from gengap.quantities import QUANTITIES
from gengap.registry import Entry
from gengap.studies.settings import Cell, leaf_names

# What training says of a cell, and where it is.
FACTS = ("cell", "status", "stopped_by", "epochs_trained", "n_parameters", "pack")
# What a table of measurements says beside the cell, to which the columns of cells are joined.
MEASURED = ("epoch", "layer", "quantity", "value", "batchnorm", "probe")


def check_columns() -> None:
    """Refuse names in headers that two columns would have.

    Raises:
        UserError: It names the file and the key.
    """
    short = leaf_names()
    taken = dict.fromkeys((*FACTS, *MEASURED), "a column of every study's tables")
    for kind in (kind for kind in Cell.model_fields if kind in registry.REGISTRY):
        for entry in registry.REGISTRY[kind].values():
            for key in entry.options:
                name = short[f"{kind}.{key}"]
                if name in taken or name in QUANTITIES:
                    raise _refusal(entry, f"options.{key}", taken.get(name, "the name of a quantity"))
    settings = dict.fromkeys(short.values(), "the name of a setting")
    for kind in ("probe", "simulation"):
        for entry in registry.REGISTRY[kind].values():
            for name in entry.quantities:
                if why := taken.get(name) or settings.get(name):
                    raise _refusal(entry, f"quantities.{name}", why)


def _refusal(entry: Entry, key: str, why: str) -> UserError:
    return UserError(f"{entry.path}: PART: {key}: is {why} already. Choose another name.")
