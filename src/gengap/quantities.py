"""The measured numbers: name, symbol, unit and meaning, each written once.

What training records and what is derived from it stand in quantities.csv beside this file; what a probe or a
simulation measures stands in its header. Axis labels, tables and docs read all of them here.
"""

import csv
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gengap.errors import UserError
from gengap.registry import REGISTRY, Entry, check

# Quantities that always lie between 0 and 1 as stored.
SHARES = frozenset(
    f"{split}_{kind}" for split in ("train", "test") for kind in ("accuracy", "balanced_accuracy", "error")
)


# What pages and tables say of `Quantity.rescaling_invariant`.
RESCALED = {True: "same", False: "changes", None: ""}


@dataclass(frozen=True)
class Quantity:
    """One measured number.

    Attributes:
        name: Column value in the tables, e.g. ``"train_loss"``.
        label: Words for an axis.
        symbol: Mathtext without dollar signs, or empty.
        unit: ``"1"`` for a pure number, ``"%"`` where figures and tables show percent of a stored fraction.
        meaning: One sentence.
        rescaling_invariant: Whether it stays as it is when a hidden layer's weights and biases are multiplied by c > 0
            and the next layer's weights are divided by c, which leaves a network of ReLUs the same function; None if
            that was not asked.
    """

    name: str
    label: str
    symbol: str
    unit: str
    meaning: str
    rescaling_invariant: bool | None = None

    @property
    def axis(self) -> str:
        """The axis label: words, symbol and unit."""
        symbol = f" ${self.symbol}$" if self.symbol else ""
        unit = f" [{self.unit}]" if self.unit != "1" else ""
        return f"{self.label}{symbol}{unit}"

    @property
    def scale(self) -> float:
        """What a stored value is multiplied by for display."""
        return 100.0 if self.unit == "%" else 1.0


class _Quantities(Mapping[str, Quantity]):
    """All quantities by name, those of a probe named by its import path among them once a study names it."""

    def __getitem__(self, name: str) -> Quantity:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> Mapping[str, Quantity]:
        measuring = (*REGISTRY["probe"].values(), *REGISTRY["simulation"].values())
        return _joined(tuple(entry.path for entry in measuring))


@functools.cache
def _joined(paths: tuple[Path, ...]) -> dict[str, Quantity]:
    """Those of the table, then those of the parts that have these files.

    Raises:
        UserError: If one is declared twice, or a part uses one that nobody declares.
    """
    table = Path(__file__).with_suffix(".csv")
    with table.open(encoding="utf-8", newline="") as file:
        found = {
            row["name"]: Quantity(row["name"], row["label"], row["symbol"], row["unit"], row["meaning"])
            for row in csv.DictReader(file)
        }
    declared = dict.fromkeys(found, table)
    entries = [entry for kind in ("probe", "simulation") for entry in REGISTRY[kind].values()]
    for entry in entries:
        for name, quantity in entry.quantities.items():
            if name in found:
                raise UserError(
                    f"{entry.path}: PART: quantities.{name}: is declared in {declared[name]} already. "
                    "Name it under `uses`, or choose another name."
                )
            found[name], declared[name] = Quantity(name, **quantity.model_dump()), entry.path
    for entry in entries:
        _check_used(entry, found)
    return found


def _check_used(entry: Entry, found: Mapping[str, Quantity]) -> None:
    shown = [one for one in (entry.picture.quantity, entry.picture.along) if one] if entry.picture else []
    for key, names, known in (("uses", entry.uses, found), ("picture", shown, entry.measured)):
        for name in names:
            if name not in known:
                raise UserError(f"{entry.path}: PART: {key}: '{name}' is declared nowhere. Add it to `quantities`.")


QUANTITIES: Mapping[str, Quantity] = _Quantities()


def check_all() -> None:
    """Read every declaration.

    Raises:
        UserError: If a quantity is declared twice, or a part uses one that nobody declares.
    """
    len(QUANTITIES)


def declared_in(kind: str, name: str) -> tuple[Path, ...]:
    """The files of this package in which the quantities are declared that a probe or a simulation measures.

    Args:
        kind: ``probe`` or ``simulation``.
        name: Its registered name.
    """
    measured = set(check(kind, name).measured)
    entries = (entry for kind in ("probe", "simulation") for entry in REGISTRY[kind].values())
    return tuple(sorted({one.path for one in entries if not one.external and measured & set(one.quantities)}))


def check_declared(kind: str, name: str, quantity: str) -> None:
    """Refuse a quantity that a probe or a simulation returns, and its header does not name.

    Raises:
        UserError: In one sentence, with file and key.
    """
    entry = check(kind, name)
    if quantity not in entry.measured:
        key = "uses" if quantity in QUANTITIES else "quantities"
        raise UserError(
            f"{entry.path}: PART: {key}: lacks '{quantity}', which the {kind} '{name}' returns. "
            f"It has: {', '.join(entry.measured) or 'none'}."
        )
