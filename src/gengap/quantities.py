"""The measured numbers: name, symbol, unit and meaning, written once, in quantities.csv beside this file.

Axis labels, tables and docs read them here.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

# Quantities that lie between 0 and 1, as stored, whatever was trained.
SHARES = frozenset(
    f"{split}_{kind}" for split in ("train", "test") for kind in ("accuracy", "balanced_accuracy", "error")
)


@dataclass(frozen=True)
class Quantity:
    """One measured number.

    Attributes:
        name: Column value in the tables, e.g. ``"train_loss"``.
        label: Words for an axis.
        symbol: Mathtext without dollar signs, or empty.
        unit: ``"1"`` for a pure number, ``"%"`` where figures and tables show percent of a stored fraction.
        meaning: One sentence.
    """

    name: str
    label: str
    symbol: str
    unit: str
    meaning: str

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


def _read() -> dict[str, Quantity]:
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: Quantity(**row) for row in csv.DictReader(file)}


QUANTITIES: dict[str, Quantity] = _read()
