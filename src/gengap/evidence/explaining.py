"""How alike measures and the generalization gap are ordered: across settings, along one axis, and over seeds."""

import fnmatch
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gengap.errors import UserError, unknown_name
from gengap.evidence.intervals import grouped, interval
from gengap.evidence.measurements import SEED, Evidence, lacking
from gengap.quantities import QUANTITIES

GAP = "generalization_gap"
PARAMETERS, RANDOM = "n_parameters", "random numbers"
CONTROLS = (PARAMETERS, RANDOM)
_NO_MEASURE = ("test_*", GAP, "*_standard_error", "*_residual")  # they know the test set, or are errors of a method


def measures(evidence: Evidence, wanted: Sequence[str] = ()) -> dict[str, str]:
    """The quantities to set against the gap, with the probe of each.

    Args:
        evidence: The study's measurements.
        wanted: Their names; none: all that probes measured on whole networks without the test set.

    Raises:
        UserError: If one was not measured on whole networks, or the gap was not.
    """
    if GAP not in evidence.cells:
        raise lacking(evidence, GAP, "performance")
    rows = evidence.measurements[evidence.measurements["layer"] == ""]
    known = dict(zip(rows["quantity"], rows["probe"], strict=True))
    where = f"study '{evidence.study['name']}'"
    for name in wanted:
        if name not in evidence.cells or name not in QUANTITIES:
            if (evidence.measurements["quantity"] == name).any():
                raise UserError(
                    f"{where}: '{name}' was measured by layer, and the gap is one number of the whole network. "
                    f"Choose from: {', '.join(known)}."
                )
            raise unknown_name("quantity of whole networks", name, known, where=where)
    if wanted:
        return {name: known.get(name, "") for name in wanted}
    finished = evidence.finished
    found = {
        name: probe
        for name, probe in known.items()
        if name in finished and not any(fnmatch.fnmatchcase(name, pattern) for pattern in _NO_MEASURE)
    }
    if not found and len(finished):
        raise UserError(
            f"{where}: no probe measured the whole network, beside its accuracy and loss on "
            "the test set. Add one to `probes`, such as 'norms'."
        )
    return found


def first_of_probes(evidence: Evidence) -> dict[str, str]:
    """One measure of every probe, by its name: the first that it lists."""
    by_probe: dict[str, str] = {}
    for name, probe in measures(evidence).items():
        by_probe.setdefault(probe, name)
    return by_probe


def without_measure(evidence: Evidence) -> dict[str, str]:
    """Probes that measured nothing of whole networks that could be set against the gap, and what they measured."""
    rows, found = evidence.measurements, set(measures(evidence).values())
    of = {
        "only arrays": set(evidence.array_probes),
        "only on the test set": set(rows.loc[rows["layer"] == "", "probe"]),
        "only by layer": set(rows.loc[rows["layer"] != "", "probe"]),
    }
    probes = dict.fromkeys((*rows["probe"], *evidence.array_probes))
    return {probe: [what for what, those in of.items() if probe in those][-1] for probe in probes if probe not in found}


def values(evidence: Evidence, name: str) -> "pd.Series[float]":
    """A measure or a control of the finished networks; random numbers are the same at every call."""
    finished = evidence.finished
    if name == RANDOM:
        return pd.Series(np.random.default_rng(0).random(len(finished)), index=finished.index)
    return finished[name].astype(float)


def compared(evidence: Evidence, name: str) -> pd.DataFrame:
    """The finished networks of which both the measure and the gap are numbers, as columns ``measure`` and ``gap``."""
    table = evidence.finished.assign(measure=values(evidence, name), gap=evidence.finished[GAP].astype(float))
    kept: pd.DataFrame = table[np.isfinite(table["measure"]) & np.isfinite(table["gap"])]
    return kept


def tau(x: ArrayLike, y: ArrayLike) -> float:
    """Kendall's tau-a: the share of pairs that both order alike minus the share ordered otherwise; a tie counts 0.

    Source: Kendall (1938). NaN for fewer than two networks.
    """
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(first) < 2:
        return math.nan
    signs = np.sign(np.subtract.outer(first, first)) * np.sign(np.subtract.outer(second, second))
    return float(signs.sum() / (len(first) * (len(first) - 1)))


def across(table: pd.DataFrame, axes: Sequence[str]) -> list[float]:
    """For every seed, tau over its networks, which differ in their settings; seeds are independent runs."""
    parts = [part for _, part in grouped(table, [SEED] if SEED in table else [])]
    return [tau(part["measure"], part["gap"]) for part in parts if len(part.drop_duplicates([*axes])) > 1]


def along(table: pd.DataFrame, axis: str, axes: Sequence[str]) -> list[float]:
    """For every seed, the mean of tau over the groups in which only this axis changes (Jiang et al. 2020)."""
    found = []
    for _, own in grouped(table, [SEED] if SEED in table else []):
        others = [other for other in axes if other != axis]
        taus = [tau(part["measure"], part["gap"]) for _, part in grouped(own, others)]
        if known := [one for one in taus if not math.isnan(one)]:
            found.append(float(np.mean(known)))
    return found


def within(table: pd.DataFrame, axes: Sequence[str]) -> list[float]:
    """For every configuration, tau over its seeds: what the settings cannot know."""
    taus = [tau(part["measure"], part["gap"]) for _, part in grouped(table, axes)]
    return [one for one in taus if not math.isnan(one)]


def correlations(evidence: Evidence, name: str) -> Iterator[tuple[str, float, float, float]]:
    """Every correlation of a measure with the gap: its name, mean, and the ends of its 95 % confidence interval."""
    axes = [axis for axis in evidence.axes if evidence.cells[axis].nunique() > 1]
    table = compared(evidence, name)
    kinds = {"across": across(table, axes) if axes else []}
    kinds |= {f"along_{axis}": along(table, axis, axes) for axis in axes} if len(axes) > 1 else {}
    for kind, taus in (kinds | {"within": within(table, axes)}).items():
        found = interval(taus)
        low, high = (float(np.clip(end, -1, 1)) for end in found.of_mean)
        yield kind, found.mean, low, high
