"""The scoreboard of a population: every statistic of every measure and control, with intervals and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gengap.scoreboard import mutual_information, sign_error
from gengap.scoreboard.controls import DESIGN as DESIGN_ONLY
from gengap.scoreboard.controls import controls
from gengap.scoreboard.equal_design import EqualDesign, equal_design
from gengap.scoreboard.increment import increment
from gengap.scoreboard.neighbours import Neighbours, neighbours
from gengap.scoreboard.population import Floats, Population
from gengap.scoreboard.rank_correlation import psi, tau
from gengap.scoreboard.resampling import interval, weights
from gengap.scoreboard.verdicts import Verdict, judge

RESAMPLES = 1000
ALL = "all"
MEAN, NINTH, MAXIMUM = "sign_error_mean", "sign_error_90th_percentile", "sign_error_maximum"
TAU, PSI, EQUAL = "kendall_tau", "granulated_psi", "equal_design_correlation"
CMI, LEAST_CMI, PGDL = "conditional_mutual_information", "least_conditional_mutual_information", "pgdl_score"
INCREMENT = "increment_over_design"
COLUMNS = ["measure", "control", "statistic", "axis", "value", "low", "high", "n"]


@dataclass(frozen=True)
class Board:
    """What a population says of its measures.

    Attributes:
        population: The networks.
        statistics: One row per number: ``measure``, ``control``, ``statistic``, ``axis`` (``all``, an axis, or the axes
            of a conditioning set with ``+``), ``value``, ``low``, ``high`` (95 % percentile interval over resamples of
            configurations) and ``n``: networks, pairs, environments or configurations.
        verdicts: One row per measure and control, the largest correlation at equal design first, controls last:
            ``measure``, ``control``, ``verdict``, ``p``, ``why``.
        levels: Correlation at equal design at every level of every axis.
    """

    population: Population
    statistics: pd.DataFrame
    verdicts: pd.DataFrame
    levels: pd.DataFrame


def board(
    population: Population,
    *,
    parameters: Floats | None = None,
    least: float = sign_error.LEAST_SAMPLE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Board:
    """Judge all measures of a population.

    Cost: the square of the number of networks for each measure, and the square of the number of configurations (at most
    2,000) for each measure, resample and pair of axes; `docs/scoreboard.md` has times.

    Args:
        population: The networks.
        parameters: Number of parameters of every network, for the control.
        least: Smallest effective sample size of an environment.
        resamples: Resamples of configurations for the intervals.
        seed: Of resamples, folds and controls.
    """
    draws = weights(len(population.starts), resamples, seed)
    added = increment(population, population.matrix(population.measures), draws, seed)
    made = controls(population, added.prediction, parameters, seed)
    names, values = (
        [*population.measures, *made],
        np.column_stack([population.matrix(population.measures), *made.values()]),
    )
    gained = increment(population, np.column_stack(list(made.values())), draws, seed).gain
    gained[:, list(made).index(DESIGN_ONLY)] = np.nan  # it has seen the gaps of the other folds
    axes = list(neighbours(population))
    rows = _Rows(names, frozenset(made))
    rows.add(TAU, ALL, tau(population, values, draws), len(values))
    along = {pairs.axis: psi(population, pairs, values, draws) for pairs in axes}
    mean_psi = _mean(list(along.values()), (len(draws), len(names)))
    rows.add(PSI, ALL, mean_psi, sum(len(pairs.pair) for pairs in axes))
    for pairs in axes:
        rows.add(PSI, pairs.axis, along[pairs.axis], len(pairs.pair))
    equal = equal_design(population, values, draws)
    rows.add(EQUAL, ALL, equal.r, equal.networks)
    _sign_errors(rows, population, axes, values, draws, least)
    found = mutual_information.information(population, values, draws, seed)
    for conditions, information in found.by_set.items():
        rows.add(CMI, "+".join(conditions) or "none", information, found.configurations)
    rows.add(LEAST_CMI, ALL, found.least, found.configurations)
    rows.add(PGDL, ALL, found.pgdl, found.configurations)
    rows.add(INCREMENT, ALL, np.concatenate([added.gain, gained], axis=1), len(population.starts))
    verdicts = _verdicts(names, frozenset(made), judge(equal, mean_psi), equal)
    levels = equal.by_level.assign(measure=[names[number] for number in equal.by_level["measure"]])
    return Board(population, rows.table(), verdicts, levels)


def decide(population: Population, *, resamples: int = 200, seed: int = 0) -> dict[str, Verdict]:
    """The verdicts alone, without the statistics that do not enter them: for simulations."""
    draws = weights(len(population.starts), resamples, seed)
    values = population.matrix(population.measures)
    along = [psi(population, pairs, values, draws) for pairs in neighbours(population)]
    verdicts = judge(equal_design(population, values, draws), _mean(along, (len(draws), values.shape[1])))
    return dict(zip(population.measures, verdicts, strict=True))


class _Rows:
    """The long table, collected statistic by statistic."""

    def __init__(self, names: Sequence[str], made: frozenset[str]) -> None:
        self._names, self._made = names, made
        self._rows: list[Mapping[str, object]] = []

    def add(self, statistic: str, axis: str, resampled: Floats, n: int) -> None:
        """Add one statistic of all measures: ``[1 + resamples, measures]``."""
        for name, value, low, high in zip(self._names, *interval(resampled), strict=True):
            row = {"measure": name, "control": name in self._made, "statistic": statistic, "axis": axis}
            self._rows.append(row | {"value": value, "low": low, "high": high, "n": n})

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self._rows, columns=COLUMNS)


def _mean(parts: Sequence[Floats], shape: tuple[int, int]) -> Floats:
    """Mean over axes; 0 without any pair, so that nothing tracks the design."""
    return np.mean(np.stack(parts), axis=0) if parts else np.zeros(shape)


def _sign_errors(
    rows: _Rows, population: Population, axes: Sequence[Neighbours], values: Floats, draws: Floats, least: float
) -> None:
    found = sign_error.environments(population, axes, values, least)
    for number, axis in [(None, ALL), *enumerate(population.axes)]:
        n = 2 * int((found.axis == number).sum() if number is not None else len(found.axis))  # both directions
        for statistic, resampled in zip((MEAN, NINTH, MAXIMUM), sign_error.summary(found, draws, number), strict=True):
            rows.add(statistic, axis, resampled, n)


def _verdicts(names: Sequence[str], made: frozenset[str], found: Sequence[Verdict], equal: EqualDesign) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "measure": names,
            "control": [name in made for name in names],
            "verdict": [verdict.word for verdict in found],
            "p": [verdict.p for verdict in found],
            "why": [verdict.why for verdict in found],
        }
    )
    order = np.lexsort((-equal.r[0], table["control"].to_numpy()))
    return table.iloc[order].reset_index(drop=True)
