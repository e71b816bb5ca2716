"""Chains of cells: which cell of a study a cell comes after (section `after`), and what both must share."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gengap.errors import UserError, unknown_name
from gengap.studies.consistency import kept_epochs
from gengap.studies.grid import cell_name, value_at
from gengap.studies.settings import ARM, After, Cell

SHARED = ("dataset", "labels", "model", "loss")  # sections that a cell and its origin agree on


def linked(cells: Mapping[str, Cell], axes: Sequence[str], path: Path) -> dict[str, Cell]:
    """Give every cell with an origin the origin's settings.

    Args:
        cells: Cells by name, as `gengap.studies.grid.expand` made them.
        axes: Dotted keys of the grid, by which an origin is found: it has another arm, and agrees on all others.
        path: The study's file, for messages.

    Returns:
        The same cells, those with an origin linked to it.

    Raises:
        UserError: If an origin is missing, comes after the cell itself, or has other data or another network.
    """
    done: dict[str, Cell] = {}

    def link(name: str, later: tuple[str, ...]) -> Cell:
        if name in done:
            return done[name]
        cell = cells[name]
        where = f"{path}: after: cell '{name}'"
        if cell.after.cell is not None:
            raise UserError(f"{path}: after.cell: is filled in from `after.origin`. Name an arm there, and remove it.")
        if not cell.after.origin:
            if cell.after != After():
                raise UserError(f"{where} has no origin. Name an arm of the grid as `after.origin`.")
            done[name] = cell
            return cell
        if ARM not in axes:
            raise UserError(
                f"{path}: after.origin: '{cell.after.origin}' is to be an arm, and the grid has none. Give it arms: "
                "arm: {name: {dotted.key: value}}."
            )
        origin = _origin_name(cell, axes)
        if origin not in cells:
            raise unknown_name("arm", cell.after.origin, _arms(cells), where=f"{where}: origin")
        if name in later:
            raise UserError(f"{where} comes after itself. Let one of these arms start from its init: {_told(later)}.")
        first = link(origin, (*later, name))
        _check(cell, first, where)
        done[name] = cell.model_copy(update={"after": cell.after.model_copy(update={"cell": first})})
        return done[name]

    return {name: link(name, ()) for name in cells}


def origins(cells: Mapping[str, Cell], axes: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names of the cells that others come directly after, each once.

    Args:
        cells: All cells of a study by name.
        axes: Dotted keys of its grid.
        names: Those whose origins are asked for.
    """
    chained = (cells[name] for name in names if cells[name].after.cell is not None)
    return list(dict.fromkeys(_origin_name(cell, axes) for cell in chained))


def with_origins(cells: Mapping[str, Cell], axes: Sequence[str], names: Sequence[str]) -> list[str]:
    """These cells and all that they come after, in the study's order."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        found |= set(waiting)
        waiting = [name for name in origins(cells, axes, waiting) if name not in found]
    return [name for name in cells if name in found]


def _origin_name(cell: Cell, axes: Sequence[str]) -> str:
    return cell_name({axis: cell.after.origin if axis == ARM else value_at(cell, axis) for axis in axes})


def _arms(cells: Mapping[str, Cell]) -> list[str]:
    return sorted({cell.arm for cell in cells.values() if cell.arm})


def _told(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _check(cell: Cell, origin: Cell, where: str) -> None:
    """Refuse an origin that cannot give a cell its weights."""
    if cell.after.grow:
        if origin.model.width >= cell.model.width or cell.after.prune or origin.after.masked:
            raise UserError(
                f"{where}: grow: needs an origin of a smaller model.width, and nothing pruned; its origin has width "
                f"{origin.model.width}, and it has {cell.model.width}."
            )
        origin = origin.model_copy(update={"model": origin.model.model_copy(update={"width": cell.model.width})})
    if differ := [section for section in SHARED if getattr(cell, section) != getattr(origin, section)]:
        raise UserError(f"{where}: its origin has another {differ[0]}. Both must agree on {', '.join(SHARED)}.")
    if cell.training.weights_dtype != origin.training.weights_dtype:
        raise UserError(f"{where}: its origin has another training.dtype. Give both the same.")
    if cell.training.subspace is not None:
        raise UserError(f"{where}: training.subspace and an origin cannot be combined. Remove one of them.")
    if cell.after.scope == "global" and len(cell.after.prune) > 1:
        raise UserError(
            f"{where}: scope: global takes one share, of all layers but the last, and prune has "
            f"{len(cell.after.prune)}. Give one, or write scope: layer."
        )
    at = cell.after.weights
    same = all(getattr(cell, key) == getattr(origin, key) for key in ("init", "optimizer", "schedule", "training"))
    if at == 0 and same and not cell.after.prune and not cell.after.grow:
        raise UserError(
            f"{where}: weights: 0 are those that its origin starts from, with the same settings, so both train the "
            "same network. Prune, set something that differs, or remove the arm."
        )
    if cell.after.mask == "random" and at != "fresh" and origin.after.masked:
        raise UserError(
            f"{where}: mask: a random mask would keep weights that the origin has pruned, and they would start at 0. "
            "Write weights: fresh."
        )
    if not isinstance(at, str) and at not in kept_epochs(origin):
        raise UserError(
            f"{where}: weights: its origin keeps none at epoch {at:g}. Add it to the origin's training.snapshots."
        )
