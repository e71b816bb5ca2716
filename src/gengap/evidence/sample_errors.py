"""Which training samples networks get wrong after one epoch, and which stay right, from the probe `example_errors`."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import Evidence, lacking
from gengap.evidence.random_data import with_data

FIRST = 1.0  # the epoch after which samples are looked at first
FEWEST = 20  # starts that say how hard a sample is
LEARNING = ("finished", "stuck")  # one epoch may end before a network is better than a constant answer


@dataclass(frozen=True)
class Starts:
    """Networks that differ in their seed alone, after the first epoch.

    Attributes:
        data: What they were trained on.
        cells: Their names.
        errors: Whether each gets each training sample wrong, ``[starts, samples]`` of 0 and 1.
    """

    data: str
    cells: tuple[str, ...]
    errors: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Mean over samples and starts."""
        return float(self.errors.mean())

    @property
    def by_sample(self) -> NDArray[np.float64]:
        """Share of the starts that get each sample wrong, ascending ``[samples]``."""
        return np.sort(self.errors.mean(axis=0))

    @property
    def null(self) -> NDArray[np.float64]:
        """What `by_sample` would be if all samples were equally hard: quantiles of a binomial distribution."""
        n_starts, n_samples = self.errors.shape
        ranks = (np.arange(n_samples) + 0.5) / n_samples
        quantiles: NDArray[np.float64] = binom.ppf(ranks, n_starts, self.error) / n_starts
        return quantiles

    @property
    def spread(self) -> float:
        """Variance over samples of the share of starts, in units of the binomial one: 1 if all are equally hard."""
        p = self.error
        return float(self.errors.mean(axis=0).var(ddof=1) / (p * (1 - p) / len(self.errors)))

    @property
    def agreement(self) -> pd.Series:
        """Correlation over samples of each start's errors with the mean of all others', by cell; 0 if equally hard."""
        total = self.errors.sum(axis=0)
        others = [(total - own) / (len(self.errors) - 1) for own in self.errors]
        found = [_correlation(own, rest) for own, rest in zip(self.errors, others, strict=True)]
        return pd.Series(found, index=list(self.cells))


def starts(evidence: Evidence) -> list[Starts]:
    """Every group of at least 20 networks that were measured after their first epoch.

    Raises:
        UserError: If the probe `example_errors` measured nothing.
    """
    return [
        Starts(data, tuple(own), np.stack(list(own.values())))
        for data, own in _after_first(evidence)
        if len(own) >= FEWEST
    ]


def too_few(evidence: Evidence) -> int:
    """How many groups were measured after their first epoch, but from too few starts for `starts`."""
    return sum(0 < len(own) < FEWEST for _, own in _after_first(evidence))


def _after_first(evidence: Evidence) -> Iterator[tuple[str, dict[str, NDArray[np.float64]]]]:
    """For every group of networks that differ in their seed alone, its data, and the errors after the first epoch."""
    errors = _errors(evidence)
    cells = with_data(evidence)
    for at, part in grouped(cells[cells["status"].isin(LEARNING)], ["network", "data"]):
        yield str(at["data"]), {cell: errors[cell][FIRST] for cell in part["cell"] if FIRST in errors.get(cell, {})}


def staying(evidence: Evidence) -> pd.DataFrame:
    """Which samples are right after epoch 1 and at every later epoch that was measured.

    Returns:
        One row per finished cell that was measured after epoch 1 too, by its name: ``network``, ``data``, ``seed``,
        ``right_after_first``, ``staying_right``, shares of the samples.
    """
    errors = _errors(evidence)
    cells = with_data(evidence)
    rows = {}
    for cell in cells[cells["status"].isin(LEARNING)].to_dict("records"):
        own = errors.get(cell["cell"], {})
        later = [vector for epoch, vector in own.items() if epoch > FIRST]
        if FIRST in own and later:
            right = own[FIRST] == 0
            always = right & (np.max(later, axis=0) == 0)
            shares = {"right_after_first": right.mean(), "staying_right": always.mean()}
            rows[cell["cell"]] = {name: cell[name] for name in ("network", "data", "seed")} | shares
    columns = ["network", "data", "seed", "right_after_first", "staying_right"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _errors(evidence: Evidence) -> dict[str, dict[float, NDArray[np.float64]]]:
    """The samples that each cell gets wrong, by epoch."""
    found: dict[str, dict[float, NDArray[np.float64]]] = {}
    for array in evidence.arrays("example_error"):
        for (cell, epoch), values in zip(array.rows.itertuples(index=False, name=None), array.values, strict=True):
            found.setdefault(str(cell), {})[float(epoch)] = values
    if not found:
        raise lacking(evidence, "example_error", "example_errors")
    return found


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson's correlation; not a number if one does not vary."""
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / size) if size else np.nan
