"""A population of networks: a tidy table that was checked, and what the statistics need of it."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gengap.counting import count, noun
from gengap.errors import UserError, unknown_name
from gengap.studies.scoreboard import FEWEST

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FINISHED = "finished"


class TooFewNetworksError(UserError):
    """A table that is right, of which too little is left to judge anything."""


@dataclass(frozen=True)
class Population:
    """Networks of a design, and what was measured on them; those that failed are already left out.

    A *configuration* is one combination of the axes' values; its networks differ only in their seed.

    Attributes:
        table: One row per network, sorted by configuration.
        gap: Column of the generalization gap.
        axes: Columns of the design, the seed left out.
        measures: Columns of the explanations; larger values should mean a larger gap.
        seed: Column of the seed, or empty.
        equal: Columns to hold equal as well, e.g. the training loss; measured, not part of the design.
        decreasing: Measures of which less should mean a larger gap; the table holds their negative.
        test_size: Number of test samples of every gap, for the filter of noise; 0 if the gap is not one of accuracies.
        left_out: Why networks were left out, and how many.
    """

    table: pd.DataFrame
    gap: str
    axes: tuple[str, ...]
    measures: tuple[str, ...]
    seed: str = ""
    equal: tuple[str, ...] = ()
    decreasing: tuple[str, ...] = ()
    test_size: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def config(self) -> Ints:
        """Number of every network's configuration, ascending: ``[n]``."""
        number = self.table.groupby(list(self.axes), sort=True, observed=True).ngroup()
        return np.asarray(number, dtype=np.int64)

    @cached_property
    def starts(self) -> Ints:
        """Row at which every configuration begins: ``[configurations]``."""
        starts: Ints = np.flatnonzero(np.diff(self.config, prepend=-1)).astype(np.int64)
        return starts

    @cached_property
    def sizes(self) -> Ints:
        """Networks of every configuration: ``[configurations]``."""
        return np.bincount(self.config).astype(np.int64)

    @cached_property
    def levels(self) -> Ints:
        """Number of every configuration's value on every axis: ``[configurations, axes]``."""
        first = self.table.iloc[self.starts]
        coded = [np.unique(first[axis].to_numpy(), return_inverse=True)[1] for axis in self.axes]
        return np.stack(coded, axis=1).astype(np.int64)

    def values(self, column: str) -> Floats:
        """One column as numbers: ``[n]``."""
        return self.table[column].to_numpy(dtype=np.float64)

    def matrix(self, columns: Sequence[str]) -> Floats:
        """Several columns as numbers: ``[n, columns]``."""
        return self.table[list(columns)].to_numpy(dtype=np.float64)


def read_csv(path: str | Path) -> pd.DataFrame:
    """Read a table of networks.

    Raises:
        UserError: If it is no CSV file, or has no rows.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error}).") from error
    if table.empty:
        raise UserError(f"{path}: has no rows. It needs one row per network.")
    return table


def population(
    table: pd.DataFrame,
    *,
    gap: str,
    axes: Sequence[str],
    measures: Sequence[str],
    seed: str = "",
    status: str = "",
    at_least: Mapping[str, float] | None = None,
    equal: Sequence[str] = (),
    decreasing: Sequence[str] = (),
    test_size: int = 0,
    where: str = "table",
) -> Population:
    """Check a table and leave out the networks that failed, so that all measures are judged on the same ones.

    Left out are, in this order: networks whose status is not ``finished``; those below a value of `at_least`, which is
    how dead networks are recognised without a status (``{"train_accuracy": 0.5}``); those whose gap, measure or
    column of `equal` is no finite number.

    Args:
        table: One row per network.
        gap: Column of the generalization gap.
        axes: Columns of the design, numbers or text.
        measures: Columns of the explanations; a pattern such as ``complexity.*`` stands for all that it fits.
        seed: Column of the seed, if there is one.
        status: Column that says ``finished``, ``dead``, ``diverged`` or another reason.
        at_least: Smallest allowed value of some columns.
        equal: Columns to hold equal as well.
        decreasing: Measures of which *less* should mean a larger gap: their negative is judged.
        test_size: Number of test samples of every gap; 0 leaves the filter of noise out.
        where: Name of the file, for messages.

    Raises:
        UserError: If a column is missing or has wrong values, or too few networks are left.
    """
    names = _expanded(table, measures, where)
    for kind, wanted in (("gap", [gap]), ("axis", axes), ("seed", [seed] if seed else []), ("equal", equal)):
        for name in wanted:
            if name not in table:
                raise unknown_name("column", name, map(str, table.columns), where=f"{where}: {kind}")
    _no_overlap({"gap": [gap], "axis": axes, "measure": names, "seed": [seed] if seed else [], "equal": equal}, where)
    if unknown := [name for name in decreasing if name not in names]:
        raise unknown_name("measure", unknown[0], names, where=f"{where}: decreasing")
    if test_size < 0:
        raise UserError(f"{where}: test_size: {test_size} is not allowed. It is a number of samples, or 0.")
    for axis in [*axes, *([seed] if seed else [])]:
        if (empty := table[axis].isna()).any():
            raise UserError(f"{where}: line {_line(empty)}: column '{axis}' is empty. Every network needs a value.")
    converted = table.copy()
    for axis in axes:
        if not pd.api.types.is_numeric_dtype(table[axis]):
            converted[axis] = table[axis].astype(str)  # values such as 0.1 and "none" have no order
    for name in dict.fromkeys([gap, *names, *equal, *(at_least or {})]):
        converted[name] = numbers(table, name, where)
    kept, left_out = _kept(converted, status, at_least or {}, [gap, *names, *equal], where)
    for name in decreasing:
        kept[name] = -kept[name]
    kept = kept.sort_values(list(axes), kind="stable").reset_index(drop=True)
    made = Population(kept, gap, tuple(axes), tuple(names), seed, tuple(equal), tuple(decreasing), test_size, left_out)
    _enough(made, where)
    return made


def _expanded(table: pd.DataFrame, measures: Sequence[str], where: str) -> list[str]:
    names: list[str] = []
    for pattern in measures:
        found = [str(name) for name in table.columns if fnmatch.fnmatchcase(str(name), pattern)]
        if pattern in table:
            found = [pattern]
        if not found:
            raise unknown_name("column", pattern, map(str, table.columns), where=f"{where}: measure")
        names += found
    if not names:
        raise UserError(f"{where}: measure: name at least one column to be judged.")
    return list(dict.fromkeys(names))


def _no_overlap(roles: Mapping[str, Sequence[str]], where: str) -> None:
    """A column has one role: a gap that is also a measure would explain itself."""
    seen: dict[str, str] = {}
    for role, names in roles.items():
        for name in names:
            if name in seen:
                both = f"twice as {role}" if seen[name] == role else f"as {seen[name]} and as {role}"
                raise UserError(f"{where}: column '{name}' is named {both}. Name every column once.")
            seen[name] = role
    if not roles["axis"]:
        raise UserError(f"{where}: axis: name at least one column of the design.")


def numbers(table: pd.DataFrame, name: str, where: str) -> pd.Series:
    """A column as numbers; empty cells, nan and inf stay, and are left out later.

    Raises:
        UserError: If there is no such column, or a value is text.
    """
    if name not in table:
        raise unknown_name("column", name, map(str, table.columns), where=where)
    found: pd.Series = pd.to_numeric(table[name], errors="coerce").astype(float)
    wrong = found.isna() & table[name].notna()
    wrong &= ~table[name].astype(str).str.strip().str.lower().isin(["nan", "", "none", "null"])
    if wrong.any():
        value = table[name][wrong].iloc[0]
        raise UserError(f"{where}: line {_line(wrong)}: {name}: {str(value)!r} is not a number.")
    return found


def _line(rows: pd.Series) -> int:
    """Line of the file of the first row that is marked; the header is line 1."""
    return int(np.flatnonzero(rows.to_numpy())[0]) + 2


def _kept(
    table: pd.DataFrame, status: str, at_least: Mapping[str, float], finite: Sequence[str], where: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    left_out: dict[str, int] = {}
    if status:
        if status not in table:
            raise unknown_name("column", status, map(str, table.columns), where=f"{where}: status")
        failed = table[status].astype(str).where(table[status].astype(str) != FINISHED)
        left_out |= {str(word): int(count) for word, count in failed.value_counts().items()}
        table = table[failed.isna()]
    for name, least in at_least.items():
        below = ~(table[name] >= least)
        if below.any():
            left_out[f"{name} below {least:g}"] = int(below.sum())
        table = table[~below]
    for name in dict.fromkeys(finite):
        bad = ~np.isfinite(table[name])
        if bad.any():
            left_out[f"{name} not finite"] = int(bad.sum())
        if bad.mean() > 0.5:
            raise UserError(
                f"{where}: column '{name}' is no finite number in {int(bad.sum())} of {len(table)} networks. "
                "All measures are judged on the same networks: leave this one out, or measure it."
            )
        table = table[~bad]
    return table.copy(), left_out


def _enough(made: Population, where: str) -> None:
    n, configurations = len(made.table), len(np.unique(made.config)) if len(made.table) else 0
    if configurations < FEWEST:
        reasons = f" Left out were {described(made.left_out)}." if made.left_out else ""
        raise TooFewNetworksError(
            f"{where}: {count(n, 'network')} in {count(configurations, 'configuration')} {noun(n, 'is', 'are')} left; "
            f"at least {FEWEST} configurations are needed.{reasons}"
        )
    for axis in made.axes:
        if made.table[axis].nunique() < 2:
            raise TooFewNetworksError(
                f"{where}: axis '{axis}' has one value only. An axis needs at least two; leave it out."
            )
    if made.table[made.gap].nunique() < 2:
        raise TooFewNetworksError(
            f"{where}: the gap '{made.gap}' is the same in all networks; there is nothing to explain."
        )
    if made.seed and made.table.duplicated([*made.axes, made.seed]).any():
        again = made.table[made.table.duplicated([*made.axes, made.seed])].astype(object).iloc[0]
        text = ", ".join(f"{name}={again[name]}" for name in (*made.axes, made.seed))
        raise UserError(f"{where}: two networks have {text}. Name every axis of the design, or remove one of the two.")
    if made.test_size and made.table[made.gap].abs().max() > 1:
        raise UserError(
            f"{where}: gap '{made.gap}' exceeds 1, so it is no difference of accuracies as fractions. "
            "The filter of noise (test_size) needs one; divide percent by 100, or leave test_size out."
        )


def described(left_out: Mapping[str, int]) -> str:
    """``12 dead, 3 diverged``."""
    return ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())


def varying(table: pd.DataFrame, columns: Iterable[str]) -> tuple[str, ...]:
    """The columns that have more than one value."""
    return tuple(column for column in columns if table[column].astype(str).nunique() > 1)
