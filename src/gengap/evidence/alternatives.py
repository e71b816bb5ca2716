"""Which cells a published number is compared with: one alternative per combination of what its source leaves open."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import SEED, Evidence
from gengap.studies.published import is_pattern, matches, parse_selector


@dataclass(frozen=True)
class Alternative:
    """Cells that differ only in their seed.

    Attributes:
        name: Their values on the axes that are open, e.g. ``power=3.0,lr=0.01``; empty if none is.
        cells: The cells, dead and diverged ones included.
    """

    name: str
    cells: pd.DataFrame


def alternatives(evidence: Evidence, selector: str) -> tuple[list[Alternative], str]:
    """The alternatives that a selector leaves.

    An axis is open if the selector gives a pattern for it, as in ``init=balanced:*``, or if it gives nothing and the
    selected cells differ on it. A selector may also name what no axis varies: it is compared with the settings.

    Args:
        evidence: The study's measurements.
        selector: Axis values such as ``width=4,init=he``.

    Returns:
        The alternatives in the order of the grid, and if there are none, why.
    """
    cells, wanted = evidence.cells, parse_selector(selector)
    for name, value in wanted.items():
        if (own := _values(evidence, cells, name)) is None:
            return [], f"'{name}' of {selector} is neither an axis of this study's grid nor a setting of all its cells"
        cells = cells[pd.Series([matches(cell_value, value) for cell_value in own], index=cells.index, dtype=bool)]
    if cells.empty:
        return [], f"no network here has {selector}"
    axes = [axis for axis in evidence.axes if _is_open(axis, cells, wanted)]
    found = grouped(cells, axes)
    return [Alternative(",".join(f"{axis}={own}" for axis, own in values.items()), part) for values, part in found], ""


def _values(evidence: Evidence, cells: pd.DataFrame, name: str) -> pd.Series | None:
    """Every cell's value of an axis or a setting; None if there is none of that name."""
    if name in evidence.study["axes"] or name in evidence.study.get("varied", ()):
        column: pd.Series = cells[name]
        return column
    fixed: Mapping[str, str] = evidence.study.get("fixed", {})
    return pd.Series(fixed[name], index=cells.index) if name in fixed else None


def _is_open(axis: str, cells: pd.DataFrame, wanted: Mapping[str, str]) -> bool:
    if axis in wanted:
        return is_pattern(wanted[axis])
    return axis != SEED and cells[axis].nunique() > 1
