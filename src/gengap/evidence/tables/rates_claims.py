"""Claims on learning rate and batch size, each with effect, interval and verdict, as far as a study can judge."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gengap.errors import UserError
from gengap.evidence.equal_readings import by_rate, readings
from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import Evidence
from gengap.evidence.node_curves import judged
from gengap.evidence.paired import pairs
from gengap.evidence.sharpness_variants import contrasts

PART = {
    "summary": "Claims on learning rate, batch size and sharp minima, each with effect, interval and verdict.",
    "caption": """\
**Claims on learning rate and batch size, judged** (study ``{{ snakemake.wildcards.study }}``; Nishtala; Li, Wei and Ma
2019; Keskar et al. 2017). One row per claim that this study's measurements can judge and per group of networks that
differ in their seed alone. Every effect is one number per seed (accuracies as fractions), signed so that the claim asks
for more than 0; in brackets its 95 % confidence interval (Student's t). A claim *holds* where the interval lies above
0; it is the *opposite* where it lies below, and *undecided* where it contains 0; fewer than five seeds judge nothing.
Dead, stuck and diverged networks are left out. The same table is beside this file as CSV, Markdown and LaTeX.
""",
}

BATCH_SIZE, ARM, ALGORITHM, NOISE = "batch_size", "arm", "algorithm", "noise"
BEYOND = 0.5  # how far beyond its ends the line between two minima is compared
Effect = tuple[str, str, pd.Series]  # the claim, what its effect is, and the effect by cell


def table(evidence: Evidence) -> pd.DataFrame:
    """Judge every claim for every group of cells.

    Returns:
        One row per claim and group: ``claim``, ``effect_is``, ``networks``, and what `judged` returns.

    Raises:
        UserError: If nothing was measured that a claim is about.
    """
    effects = (*_draws(evidence), *_rates(evidence), *_batches(evidence), *_path(evidence))
    rows = [row for effect in effects for row in _rows(evidence, *effect)]
    rows += list(_readings(evidence))
    if not rows:
        raise UserError(
            f"study '{evidence.study['name']}': no claim on learning rate or batch size can be judged. Give "
            "training.batch_size two values in `grid`, or arms the names large, small and small_noise, with the probe "
            "performance, or remove 'rates_claims' from `tables`."
        )
    return pd.DataFrame(rows)


def _rows(evidence: Evidence, claim: str, effect_is: str, effects: pd.Series) -> Iterator[dict[str, Any]]:
    """The verdict for every group that has effects."""
    cells = evidence.cells[evidence.cells["cell"].isin(effects.dropna().index)]
    varied = [axis for axis in evidence.axes if cells[axis].nunique() > 1] or evidence.axes
    for at, part in grouped(cells, varied):
        named = ", ".join(f"{axis.replace('_', ' ')} {value}" for axis, value in at.items())
        yield {"claim": claim, "effect_is": effect_is, "networks": named, **judged(effects[part["cell"]].tolist())}


def _values(evidence: Evidence, quantity: str) -> pd.Series:
    """Final values of the finished cells by name; empty if the quantity was not measured."""
    finished = evidence.finished.set_index("cell")
    return finished[quantity].dropna() if quantity in finished else pd.Series(dtype=float)


def _difference(values: pd.Series, both: pd.DataFrame) -> pd.Series:
    """Second minus baseline, by the second one's name."""
    found: pd.Series = (both["cell"].map(values) - both["baseline"].map(values)).set_axis(both["cell"])
    return found.dropna()


def _draws(evidence: Evidence) -> Iterator[Effect]:
    """Simulations: linear regression, and the toy of two patterns."""
    advantage, wins = _values(evidence, "large_advantage"), _values(evidence, "large_wins")
    if len(advantage):
        yield (
            "a large rate first ends with the smaller error",
            "root of the expected error, small minus large",
            advantage,
        )
        yield "a large rate first wins more often", "share of draws minus 0.5", wins - 0.5
        ratio = _values(evidence, "small_ratio") - _values(evidence, "large_ratio")
        yield "a large rate first overfits less", "risk over training loss, small minus large", ratio
    shown = {
        "faint_error": ("the faint pattern is learned better", "error on the faint pattern"),
        "second_difference": ("the other pattern is left alone at first", "second difference at equal training loss"),
    }
    for quantity, (claim, words) in shown.items():
        values = _values(evidence, quantity)
        for axis, first in ((ALGORITHM, "with a large rate first"), (NOISE, "with noise at the small rate")):
            for value, baseline, both in pairs(evidence, axis) if len(values) and axis in evidence.axes else ():
                yield f"{first} {claim}", f"{words}, {baseline} minus {value}", -_difference(values, both)


def _rates(evidence: Evidence) -> Iterator[Effect]:
    """Large and small learning rates, and noise, by the names of the arms."""
    if ARM not in evidence.axes:
        return
    sets = {"test_accuracy": "", "clean_accuracy": " on clean images", "patch_only_accuracy": " on patches alone"}
    if len(_values(evidence, "clean_accuracy")):
        sets["test_accuracy"] = " on mixed images"
    arms = dict.fromkeys(str(arm) for arm in evidence.cells[ARM])
    small = "small" if "small" in arms else "none"
    for quantity, where in sets.items():
        values = _values(evidence, quantity)
        if not len(values):
            continue
        if {"large", "small"} <= set(arms):
            words = f"{quantity.replace('_', ' ')}, large minus small"
            effect = _between(evidence, values, "large", "small")
            if quantity == "patch_only_accuracy":
                yield (
                    "a small rate knows patches better",
                    words.replace("large minus small", "small minus large"),
                    -effect,
                )
            else:
                yield f"a large initial rate generalises better{where}", words, effect
        for arm in arms:
            if small in arms and (arm.startswith("small_noise") or (small == "none" and arm != small)):
                words = f"{quantity.replace('_', ' ')}, {arm} minus {small}"
                yield f"noise helps a small rate{where}", words, _between(evidence, values, arm, small)
    early = _before_the_drop(evidence)
    if len(early) and {"large", "small"} <= set(arms):
        words = "test accuracy before the first drop, small minus large"
        yield "a small rate leads before the first drop", words, -_between(evidence, early, "large", "small")


def _between(evidence: Evidence, values: pd.Series, arm: str, baseline: str) -> pd.Series:
    """One arm minus another, of cells that agree on all other axes."""
    others = [axis for axis in evidence.study["axes"] if axis != ARM]
    first, second = (evidence.cells[evidence.cells[ARM] == name] for name in (arm, baseline))
    both = first.merge(second[["cell", *others]], on=others, suffixes=("", "_baseline"))
    return _difference(values, both.rename(columns={"cell_baseline": "baseline"}))


def _before_the_drop(evidence: Evidence) -> pd.Series:
    """Test accuracy of finished cells at the only epoch between first and last, if there is one such."""
    rows = evidence.measurements[evidence.measurements["quantity"] == "test_accuracy"]
    rows = rows[rows["cell"].isin(evidence.finished["cell"])]
    between = sorted(rows["epoch"].unique())[1:-1]
    if len(between) != 1:
        return pd.Series(dtype=float)
    before: pd.Series = rows[rows["epoch"] == between[0]].set_index("cell")["value"]
    return before


def _batches(evidence: Evidence) -> Iterator[Effect]:
    """Small batches against large ones in pairs of one seed, by the name of the large one's cell."""
    if BATCH_SIZE not in evidence.axes:
        return
    shown = {
        "test_accuracy": "small batches generalise better",
        "train_accuracy": "small batches fit the training set better",
        "distance_from_start": "small batches end farther from the start",
    }
    for quantity, claim in shown.items():
        values = _values(evidence, quantity)
        found = [_difference(values, both) for _, _, both in pairs(evidence, BATCH_SIZE)] if len(values) else []
        if found:
            yield claim, f"{quantity.replace('_', ' ')}, small minus large", -pd.concat(found)
    for _, words, eps, differences in contrasts(evidence):
        yield "minima of large batches are sharper", f"log10 of large over small, {words}, eps {eps}", differences


def _path(evidence: Evidence) -> Iterator[Effect]:
    """Whether the loss rises faster beyond the second end of a line, that of large batches, than beyond the first."""
    if not len(_values(evidence, "train_loss_barrier")):
        return
    positions = {name: array for array in evidence.arrays("path_position") for name, array in _by_cell(array)}
    found = {}
    for array in evidence.arrays("train_loss_along_path"):
        for cell, losses in _by_cell(array):
            at = dict(zip(np.round(positions[cell], 9), losses, strict=True))
            beyond, before = at.get(1 + BEYOND, np.nan) - at[1.0], at.get(-BEYOND, np.nan) - at[0.0]
            found[cell] = np.log10(beyond / before) if beyond > 0 and before > 0 else np.nan
    finished = evidence.finished["cell"]
    rise = pd.Series(found, dtype=float).reindex(finished).dropna()
    yield (
        "the end of large batches is the sharper one",
        "log10 of the loss's rise beyond either end, large over small",
        rise,
    )
    barrier = _values(evidence, "train_loss_barrier")
    yield "a barrier lies between the minima", "largest train loss between them minus the larger end", barrier


def _by_cell(array: Any) -> list[tuple[str, Any]]:
    return list(zip(array.rows["cell"], array.values, strict=True))


def _readings(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """Small batches against large ones in four readings, where they have arms of their own."""
    sizes = evidence.cells.get(BATCH_SIZE)
    if sizes is None or BATCH_SIZE in evidence.axes or sizes.nunique() != 2:
        return
    for optimizer, reading, rate, part in by_rate(readings(evidence)):
        words = "the same rate" if abs(rate - 1) < 1e-9 else f"{rate:.3g} times the rate for large batches"
        yield {
            "claim": f"small batches generalise better at equal {reading}",
            "effect_is": "test accuracy, small minus large",
            "networks": f"{optimizer}, {words}",
            **judged(part["difference"].tolist()),
        }
