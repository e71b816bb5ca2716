"""The claims of Luck Matters, each with its effect, interval and verdict, as far as a study can judge them."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from gengap.errors import UserError
from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import Evidence
from gengap.evidence.node_curves import at_end, at_epoch, by_layer, ends, half_time, judged, layers, over_epochs
from gengap.evidence.paired import pairs

PART = {
    "summary": "Claims of Luck Matters (2019), each with effect, interval over seeds and verdict.",
    "options": {
        "against_first_arm": {
            "type": "bool",
            "default": False,
            "meaning": "Judge each arm of the grid against the first one, seed by seed, and nothing else.",
        },
    },
    "caption": """\
**Claims of Luck Matters, judged** (study ``{{ snakemake.wildcards.study }}``). One row per claim that this study's
measurements can judge and per group of networks that differ in their seed alone. Every effect is one number per seed,
signed so that the claim asks for more than 0; in brackets its 95 % confidence interval (Student's t). A claim *holds*
where the interval lies above 0; it is the *opposite* where it lies below, and *undecided* where it contains 0; fewer
than five seeds judge nothing. Seeds of one study share their teacher. Each interval is 95 % by itself: of 40 claims
of no effect, two are expected to be judged otherwise by chance. Dead, stuck and diverged networks are left out.
The same table is beside this file as CSV, Markdown and LaTeX.
""",
}

RHO, RANK = "best_node_correlation", "final_winner_rank"
SCORES = ("fan_in", "fan_out", "gradient")
BATCHNORM, STREAM, TEACHER = "model_batchnorm", "stream", "teacher_width"
Effect = tuple[str, str, pd.Series]  # the claim, what its effect is, and the effect by cell


def table(evidence: Evidence) -> pd.DataFrame:
    """Judge every claim for every group of cells.

    Returns:
        One row per claim and group: ``claim``, ``effect_is``, the axes, and what `judged` returns.

    Raises:
        UserError: If nothing was measured that a claim is about.
    """
    arms = evidence.options["against_first_arm"]
    claims = _arms(evidence) if arms else (*_alone(evidence), *_compared(evidence))
    rows = [row for claim in claims for row in _rows(evidence, *claim)]
    if not rows:
        raise UserError(
            f"study '{evidence.study['name']}': no claim of Luck Matters can be judged. Add node_correlation, winners, "
            "correlation_estimators, batchnorm_bias or label_accuracy to `probes`, or remove 'luck_claims' from them."
        )
    return pd.DataFrame(rows)


def _rows(evidence: Evidence, claim: str, effect_is: str, effects: pd.Series) -> Iterator[dict[str, Any]]:
    """The verdict for every group that has effects."""
    cells = evidence.cells[evidence.cells["cell"].isin(effects.index)]
    for at, part in grouped(cells, [axis for axis in evidence.axes if cells[axis].nunique() > 1] or evidence.axes):
        named = ", ".join(f"{axis.replace('_', ' ')} {value}" for axis, value in at.items())
        yield {"claim": claim, "effect_is": effect_is, "networks": named, **judged(effects[part["cell"]].tolist())}


def _alone(evidence: Evidence) -> Iterator[Effect]:
    """Claims about networks by themselves."""
    rho, rank = by_layer(evidence, RHO), by_layer(evidence, RANK)
    if len(layers(rho)) > 1:
        claim = "low layers are found first"
        (first, last), (sooner, later) = ends(rho, at_end(rho)), ends(rho, half_time(rho))
        yield claim, "final correlation, first layer minus last", first - last
        yield claim, "epochs to half of the rise, last layer minus first", later - sooner
    for epoch in (0.0, 1.0):
        if len(early := at_epoch(rank, epoch)):
            claim = "winners lead before training" if not epoch else "winners lead after the first epoch"
            yield claim, "0.5 minus their mean rank", 0.5 - early.mean(axis=1)
    ratio = by_layer(evidence, "loser_fan_out_ratio")
    if len(ratio):
        falls = at_epoch(ratio, 0.0).mean(axis=1) - at_end(ratio).mean(axis=1)
        yield "the fan-out of losers falls", "losers over winners, start minus end", falls
        vanishing = 0.1 - at_end(ratio).mean(axis=1)
        yield "the fan-out of losers vanishes", "0.1 minus losers over winners at the end", vanishing
    yield from _early(evidence)
    yield from _estimators(evidence, rho)
    biases = by_layer(evidence, "negative_bias_share")
    if len(biases):
        first, last = ends(biases, end := at_end(biases))
        yield "biases of BatchNorm are negative", "mean share of negative ones minus 0.5", end.mean(axis=1) - 0.5
        yield "biases are more negative in the top layers", "share, last layer minus first", last - first
    finished = evidence.finished.set_index("cell")
    if {"student_label_accuracy", "teacher_label_accuracy"} <= set(finished):
        better = finished["student_label_accuracy"] - finished["teacher_label_accuracy"]
        yield "students are more accurate than their teacher", "test accuracy, student minus teacher", better.dropna()


def _early(evidence: Evidence) -> Iterator[Effect]:
    """Does the early correlation tell the winners from the others better than norms do?"""
    ours = at_epoch(by_layer(evidence, "winner_auc_by_correlation"), 0.0)
    for score in SCORES if len(ours) else ():
        theirs = at_epoch(by_layer(evidence, f"winner_auc_by_{score}"), 0.0)
        # A norm that is the smaller for winners tells as much as one that is the larger.
        margin = ours.mean(axis=1) - (0.5 + (theirs - 0.5).abs()).mean(axis=1)
        words = score.replace("_", "-") + (" norm" if score != "gradient" else "")
        yield "early rank predicts winners better than norms", f"AUC before training, correlation minus {words}", margin


def _estimators(evidence: Evidence, rho: pd.DataFrame) -> Iterator[Effect]:
    """Is the start, and so the growth, of correlations a matter of few samples?"""
    for kind, words in (("reshuffled", "192 reshuffled"), ("fixed", "1,024 fixed")):
        few = by_layer(evidence, f"best_node_correlation_{kind}")
        if len(few) and len(rho):
            for name, at in (("start", at_epoch(few, 0.0) - at_epoch(rho, 0.0)), ("end", at_end(few) - at_end(rho))):
                yield f"few samples raise the correlation at the {name}", f"{words} minus all", at.mean(axis=1)


def _compared(evidence: Evidence) -> Iterator[Effect]:
    """Claims about two settings, from pairs of cells that agree on all others; by the name of the second one's cell."""
    rho, rank = by_layer(evidence, RHO), by_layer(evidence, RANK)
    if not len(rho):
        return
    final, mean, ranks = (frame.mean(axis=1) for frame in (at_end(rho), over_epochs(rho), over_epochs(rank)))
    for value, baseline, both in pairs(evidence, BATCHNORM) if BATCHNORM in evidence.axes else ():
        words = f"{value} minus {baseline}"
        yield "BatchNorm raises the correlation", f"final, {words}", _difference(final, both)
        words = f"mean rank, {baseline} minus {value}"
        yield "BatchNorm improves the winners' rank", words, -_difference(ranks, both)
    for _, baseline, both in pairs(evidence, STREAM) if STREAM in evidence.axes else ():
        more = _difference(final, both)
        words = "final correlation, infinite minus finite"
        yield "finite data stall", words, -more if str(baseline) == "True" else more
    widths = pd.to_numeric(evidence.cells.get(TEACHER, pd.Series(dtype=float)), errors="coerce")
    of_one_kind = "teacher_model" not in evidence.cells or evidence.cells["teacher_model"].nunique() == 1
    if "arm" in evidence.axes and widths.nunique() > 1 and of_one_kind:
        for value, baseline, both in pairs(evidence, "arm"):
            words = f"mean correlation over epochs, {baseline} minus {value}"
            yield "small teachers are found faster", words, -_difference(mean, both)


def _arms(evidence: Evidence) -> Iterator[Effect]:
    """What each arm changes against the first one, in the first and in the last layer; by the name of its cell."""
    rho, rank = by_layer(evidence, RHO), by_layer(evidence, RANK)
    compared = pairs(evidence, "arm") if "arm" in evidence.axes and len(rho) else []
    final, ranks = ((), ()) if not compared else (ends(rho, at_end(rho)), ends(rank, over_epochs(rank)))
    for layer, values, places in zip(("first", "last"), final, ranks, strict=False):
        better, earlier = (pd.concat([_difference(one, both) for _, _, both in compared]) for one in (values, -places))
        baseline = compared[0][1]
        yield f"the setting raises the correlation of the {layer} layer", f"final, minus that of {baseline}", better
        yield (
            f"the setting improves the winners' rank in the {layer} layer",
            f"mean rank of {baseline} minus its own",
            earlier,
        )


def _difference(values: pd.Series, both: pd.DataFrame) -> pd.Series:
    """Second minus baseline, by the second one's name."""
    found: pd.Series = (both["cell"].map(values) - both["baseline"].map(values)).set_axis(both["cell"])
    return found.dropna()
