"""Settings that are written differently and train the same network: a figure would show them as two points."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gengap.errors import UserError
from gengap.studies.grid import format_value
from gengap.studies.meaning import is_watched, meaning
from gengap.studies.settings import ARM, Cell, Training
from gengap.studies.sizes import Sizes

if TYPE_CHECKING:
    from gengap.studies.study import Study

# What is recorded of a network, and changes none of its weights.
_RECORDED = ("snapshots", "evaluate_every", "batchnorm")


def check(study: "Study", data: Callable[[Cell], Sizes], path: Path) -> list[str]:
    """Refuse two cells that train the same network.

    Args:
        study: The study.
        data: The sizes of a cell's data.
        path: The study's file, for the message.

    Returns:
        Warnings, of cells that differ only in what is recorded of one network.

    Raises:
        UserError: It names both cells, and what they differ in to no effect.
    """
    meant, trained = _Numbers(), _Numbers()
    first: dict[tuple[int, int], str] = {}
    recorded: dict[tuple[int, int], str] = {}
    alike: tuple[str, str] | None = None
    for name, cell in study.cells.items():
        size = data(cell)
        if (other := first.setdefault((meant.of(cell, size), cell.seed), name)) != name:
            raise UserError(
                f"{path}: grid: cells '{other}' and '{name}' train the same network: "
                f"{_difference(study.cells[other], cell, size)} Remove one of them."
            )
        if not is_watched(cell):
            other = recorded.setdefault((trained.of(cell, size, bare=True), cell.seed), name)
            if other != name and alike is None:
                alike = other, name
    if alike is None:
        return []
    return [f"{path}: grid: cells '{alike[0]}' and '{alike[1]}' train the same network, and record other things of it."]


class _Numbers:
    """A number for the settings of a cell but its seed, as they are meant; equal ones for what means the same."""

    def __init__(self) -> None:
        self._of_cells: dict[tuple[int, ...], int] = {}
        self._known: dict[tuple[int, int, int, int, Sizes], int] = {}
        self._numbers: dict[Any, int] = {}
        self._alive: list[Any] = []  # or another section could get the same address

    def of(self, cell: Cell, data: Sizes, *, bare: bool = False) -> int:
        """The number of a cell."""
        sections = cell.sections()
        if sections not in self._of_cells:
            self._alive.append(cell)
            parts = tuple(
                self._section(name, cell, data, bare=bare) for name in Cell.model_fields if name not in (ARM, "seed")
            )
            self._of_cells[sections] = self._numbers.setdefault(parts, len(self._numbers))
        return self._of_cells[sections]

    def _section(self, section: str, cell: Cell, data: Sizes, *, bare: bool) -> int:
        settings = getattr(cell, section)
        after = id(cell.after) if section == "init" else 0
        key = id(settings), id(cell.schedule), id(cell.training), after, data
        if key not in self._known:
            self._alive += settings, cell.schedule, cell.training, cell.after
            same = meaning(settings, data, cell)
            if bare and isinstance(same, Training):
                same = same.model_copy(update={name: Training.model_fields[name].default for name in _RECORDED})
            self._known[key] = self._numbers.setdefault((section, same), len(self._numbers))
        return self._known[key]


def _difference(one: Cell, other: Cell, data: Sizes) -> str:
    """In what two cells differ to no effect, and why."""
    lines = []
    for key, first, second in _differing(one, other):
        why = ""
        if key in ("training.batch_size", "training.switch_batch_size") and data.n_train:
            why = f", and the training set has {data.n_train:,} images"
        lines.append(f"{key} is {_shown(first)} and {_shown(second)}{why}, which comes to the same.")
    return " ".join(lines)


def _differing(one: Cell, other: Cell) -> Iterator[tuple[str, Any, Any]]:
    for section, settings in one:
        theirs = getattr(other, section)
        if section == ARM or settings == theirs:
            continue
        own = {**(settings.model_extra or {}), **(theirs.model_extra or {})}
        for key in (*type(settings).model_fields, *own):
            first, second = getattr(settings, key, None), getattr(theirs, key, None)
            if first != second:
                yield f"{section}.{key}", first, second


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return format_value(value)
