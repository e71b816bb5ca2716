"""Which cells a figure joins: cells that differ only in their seed are one group, named by the axes that vary."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from gengap.counting import count, span
from gengap.evidence import words
from gengap.evidence.intervals import failures, grouped
from gengap.evidence.measurements import Evidence
from gengap.quantities import QUANTITIES

WIDTH = "width"
COMPARED = (WIDTH, "init")  # axes whose values rather share a panel than those of others
ALL = "all cells"
FEW = 4  # groups that have a colour each
ORDERED = 6  # groups that steps of one scale of colours tell apart
STATISTICS = ("mean", "median", "min", "max")


def labelled(evidence: Evidence, *, extremes: bool = False, apart: Sequence[str] = ()) -> pd.DataFrame:
    """A study's cells, failed ones included, with their group's name as column ``group``.

    Args:
        evidence: The study's measurements.
        extremes: Keep only the narrowest and the widest networks, if width is an axis.
        apart: Axes that the names leave out because the figure shows them in another way.
    """
    cells = evidence.cells
    if extremes and WIDTH in evidence.axes:
        widths = pd.to_numeric(cells[WIDTH])
        cells = cells[widths.isin([widths.min(), widths.max()])]
    named = [axis for axis in varying(cells, evidence) if axis not in apart]
    names = pd.Series(ALL, index=cells.index)
    for values, part in grouped(cells, named):
        if values:
            names[part.index] = words.settings(values)
    order = pd.to_numeric(cells[WIDTH]).sort_values(kind="stable").index if WIDTH in evidence.axes else cells.index
    return cells.assign(group=names).loc[order].reset_index(drop=True)


def first_groups(evidence: Evidence, most: int, *, apart: Sequence[str] = ()) -> pd.DataFrame:
    """The cells of the first `most` groups, as `labelled` gives them: more panels would not be legible."""
    cells = labelled(evidence, apart=apart)
    return cells[cells["group"].isin(list(dict.fromkeys(cells["group"]))[:most])].reset_index(drop=True)


def in_columns(evidence: Evidence, most: int, *, extremes: bool = False) -> pd.DataFrame:
    """The cells as `labelled` gives them, and as column ``panel`` in which column of panels each is drawn.

    As many groups as have colours share one column, without a name. Of more, some axes distinguish the groups within a
    panel, and every combination of the others has a column. The axes are chosen so that `first_columns` leaves out as
    few groups as possible, then so that the groups of a panel can be told apart (`FEW`, or `ORDERED` that are steps of
    one number), then for the fewest columns, then so that those of `COMPARED` are within a panel.

    Args:
        evidence: The study's measurements.
        most: Columns that the figure has room for.
        extremes: As in `labelled`.
    """
    cells = labelled(evidence, extremes=extremes)
    axes = varying(cells, evidence)
    if cells["group"].nunique() <= FEW:
        return cells.assign(panel="")
    # Later axes come first, so that of equal choices theirs stand in columns.
    divisions = [apart for size in range(len(axes) + 1) for apart in combinations(axes, size)][::-1]
    apart = min(divisions, key=lambda division: _rank(cells, axes, division, most))
    cells = labelled(evidence, extremes=extremes, apart=apart)
    names = pd.Series("", index=cells.index)
    for values, part in grouped(cells, apart):
        names[part.index] = "\n".join(words.setting(axis, value) for axis, value in values.items())
    return cells.assign(panel=names)


def first_columns(cells: pd.DataFrame, most: int) -> pd.DataFrame:
    """The cells of the first `most` columns, and of each its first `ORDERED` groups: more would not be legible."""
    kept = cells[cells["panel"].isin(list(dict.fromkeys(cells["panel"]))[:most])]
    names = kept.groupby("panel", sort=False)["group"].transform(lambda groups: pd.factorize(groups)[0])
    return kept[names < ORDERED].reset_index(drop=True)


def _rank(cells: pd.DataFrame, axes: Sequence[str], apart: Sequence[str], most: int) -> tuple[int, bool, int, int]:
    """How well a figure reads that has a column for each combination of `apart`; the smallest reads best."""
    within = [axis for axis in axes if axis not in apart]
    columns = [part.drop_duplicates(within) if within else part[:1] for _, part in grouped(cells, apart)]
    shown = sum(min(len(column), ORDERED) for column in columns[:most])
    largest = max(map(len, columns))
    steps = any(cells[axis].map(_is_number).all() and all(one[axis].is_unique for one in columns) for axis in within)
    told_apart = 1 < largest <= (ORDERED if steps else FEW)
    return -shown, not told_apart, len(columns), -sum(axis in within for axis in COMPARED)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def varying(cells: pd.DataFrame, evidence: Evidence) -> list[str]:
    """The axes, the seed left out, on which these cells differ."""
    return [axis for axis in evidence.axes if cells[axis].nunique() > 1]


def description(
    cells: pd.DataFrame, evidence: Evidence, *, of: pd.DataFrame | None = None, extremes: bool = False
) -> str:
    """What a figure joins, in words for its title: fixed axes, number of seeds, and who is left out.

    Args:
        cells: The cells that it shows, as `labelled` gives them.
        evidence: The study's measurements.
        of: All cells that it could show, where it has not room for every group.
        extremes: Whether it leaves the widths between out, as `labelled` does.
    """
    fixed = [axis for axis in evidence.axes if cells[axis].nunique() == 1]
    parts = [words.setting(axis, cells[axis].iloc[0]) for axis in fixed]
    finished = cells[cells["status"] == "finished"]
    sizes = [len(part) for _, part in grouped(finished, evidence.axes)]
    if sizes:
        parts.append(f"{_span(sizes)} seeds" if max(sizes) > 1 else "one seed")
    parts += [lost] if (lost := left_out(cells)) else []
    every = cells if of is None else of
    between = evidence.cells[WIDTH].nunique() - every[WIDTH].nunique() if extremes and WIDTH in evidence.axes else 0
    hidden = 0 if of is None else _groups(of) - _groups(cells)
    if between:
        parts.append(f"{count(between, 'width')} between not shown")
    if hidden:
        parts.append(f"{count(hidden, 'more group')} not shown")
    return "; ".join(parts)


def _groups(cells: pd.DataFrame) -> int:
    """How many groups there are, those of each panel on their own."""
    return len(cells[["group", "panel"] if "panel" in cells else ["group"]].drop_duplicates())


def not_shown(number: int, word: str, why: str) -> str:
    """For the title of a figure: how many things it does not show, and why; empty if there are none."""
    return f"{count(number, word)} not shown ({why})" if number else ""


def told(*parts: str) -> str:
    """What a title says, without parts that are empty."""
    return "; ".join(part for part in parts if part)


def left_out(cells: pd.DataFrame) -> str:
    """For the title of a figure: how many cells failed and are not drawn; empty if none did."""
    lost = failures(cells)
    return f"left out: {lost}" if lost else ""


def described_pairs(counts: "pd.Series[int]", cells: pd.DataFrame) -> str:
    """How many pairs of networks a figure of differences compares, and which networks are left out."""
    pairs = span(int(counts.min()), int(counts.max()), "pair") if len(counts) else "no finished pair"
    return told(pairs, left_out(cells))


def curves(rows: pd.DataFrame, cells: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Mean and range over the finished cells of each group, at each epoch, in the units of display.

    A cell that stopped early keeps its last value: otherwise a mean would jump whenever a good run ends. Epochs at
    which only some of the running cells were measured, such as the last one of each, are left out.

    Args:
        rows: Columns ``cell``, ``epoch``, ``quantity``, ``value``, ``batchnorm`` and those of `by`.
        cells: Table with the column ``group``; its order is kept.
        by: Further columns that distinguish curves.

    Returns:
        Columns ``group``, those of `by`, ``quantity``, ``batchnorm``, ``epoch``, ``n``, ``mean``, ``median``,
        ``min``, ``max``.
    """
    key = ["group", *by, "quantity", "batchnorm"]
    finished = cells.loc[cells["status"] == "finished", ["cell", "group"]]
    tables = []
    for values, part in grouped(finished.merge(rows, on="cell", how="inner"), key):
        wide = part.pivot_table(index="epoch", columns="cell", values="value", sort=True)
        ended = wide.bfill().isna()
        wide = wide.ffill().where(wide.notna() | ended).dropna() * QUANTITIES[values["quantity"]].scale
        found: dict[str, Any] = {"n": wide.shape[1]} | {word: wide.agg(word, axis=1) for word in STATISTICS}
        tables.append(pd.DataFrame(values | {"epoch": wide.index} | found, index=wide.index))
    columns = [*key, "epoch", "n", *STATISTICS]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def _span(sizes: Sequence[int]) -> str:
    return str(min(sizes)) if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
