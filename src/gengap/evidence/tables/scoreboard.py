"""Which measures explain the generalization gap: one row per measure and control."""

from collections.abc import Mapping, Sequence

import pandas as pd

from gengap.evidence import scoreboard
from gengap.evidence.measurements import Evidence
from gengap.quantities import QUANTITIES, RESCALED

PART = {
    "summary": "Which measures explain the gap: every statistic, a verdict, and what was expected.",
    "caption": """\
**Scoreboard of explanations** (study ``{{ snakemake.wildcards.study }}``).
One row per measure, then the controls. ``rescaled``: whether the measure changes under a rescaling of the weights
that leaves a network of ReLUs the same function. ``verdict``: *explains* moves with the gap along the design and
among networks of equal design, at every level of every axis; *equal design only* moves with it only among networks of
equal design; *proxy* moves with or against it only along the design, so it stands for the design; *inconsistent*
moves with the gap at some levels of an axis and against it at others; *contradicts* moves against it at equal design;
*no evidence* neither; *undecided* has too few networks. ``expected`` is the verdict that the study's file stated
before it ran, and ``as expected`` compares; ``expected to be best`` names the statistics by which it said that the
measure would be among the best, with its place among all. ``equal design correlation``: rank correlation of measure
and gap among networks of one configuration, which differ in their seed. ``granulated psi``: Kendall's tau where one
axis changes, mean over axes (Jiang 2020). ``kendall tau``: over all pairs. Then conditional mutual information (least
over sets of up to two axes), sign errors over environments (Dziugaite 2020), the share of the gap's variance that the
measure adds to the design, and PGDL's score. In brackets: 95 % intervals from resampling configurations. Verdicts
hold at level 0.02 over all measures (Holm). Controls: random numbers, the number of parameters, the design's own
prediction, and a noisy oracle.
""",
}


def table(evidence: Evidence) -> pd.DataFrame:
    """Judge the study's measures; see `gengap.scoreboard.report.wide` for the columns.

    Returns:
        Its columns, with ``expected``, ``as_expected`` and ``expected_to_be_best`` after the verdict where the
        study states expectations.

    Raises:
        UserError: If a quantity was not measured.
    """
    found, settings = scoreboard.judged(evidence), scoreboard.settings_of(evidence)
    found.insert(
        1,
        "rescaled",
        [RESCALED[QUANTITIES[name].rescaling_invariant] if name in QUANTITIES else "" for name in found["measure"]],
    )
    if settings.expected_best:
        found.insert(
            list(found.columns).index("verdict") + 1, "expected_to_be_best", places(found, settings.expected_best)
        )
    if stated := settings.expected:
        expected = found["measure"].map(stated).fillna("")
        met = (found["verdict"] == expected).map({True: "yes", False: "no"}).where(expected != "", "")
        place = list(found.columns).index("verdict") + 1
        found.insert(place, "expected", expected)
        found.insert(place + 1, "as_expected", met)
    return found


def places(found: pd.DataFrame, expected_best: Mapping[str, Sequence[str]]) -> pd.Series:
    """By what a measure was expected to be among the best, and its place among all measures; empty for the others.

    Args:
        found: The scoreboard, one row per measure and control.
        expected_best: Measures by statistic, as in a study's section.
    """
    texts = dict.fromkeys(found["measure"], "")
    measures = found[~found["control"]].set_index("measure")
    for statistic, expected in expected_best.items():
        if statistic not in measures:  # too few networks to judge anything
            continue
        order = measures[statistic].rank(ascending=statistic.startswith("sign_error"), method="min")
        for name in expected:
            place = "no number" if pd.isna(order.get(name)) else f"{order[name]:.0f} of {order.notna().sum()}"
            texts[name] = "; ".join(filter(None, (texts.get(name, ""), f"{statistic}: {place}")))
    return found["measure"].map(texts).fillna("")
