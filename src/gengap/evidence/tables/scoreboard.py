"""Which measures explain the generalization gap: one row per measure and control."""

import pandas as pd

from gengap.evidence import scoreboard
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Which measures explain the gap: every statistic, a verdict, and what was expected.",
    "caption": """\
**Scoreboard of explanations** (study ``{{ snakemake.wildcards.study }}``).
One row per measure, then the controls. ``verdict``: *explains* moves with the gap along the design and among networks
of equal design, at every level of every axis; *equal design only* moves with it only among networks of equal design;
*proxy* moves with or against it only along the design, so it stands for the design; *inconsistent* moves with the
gap at some levels of an axis and against it at others; *contradicts* moves against it at equal design; *no evidence*
neither; *undecided* has too few networks. ``expected`` is the verdict that the study's file stated before it ran, and
``as expected`` compares. ``equal design correlation``: rank correlation of measure and gap among networks of one
configuration, which differ in their seed. ``granulated psi``: Kendall's tau where one axis changes, mean over axes
(Jiang 2020). ``kendall tau``: over all pairs. Then conditional mutual information (least over sets of up to two
axes), sign errors over environments (Dziugaite 2020), the share of the gap's variance that the measure adds to the
design, and PGDL's score. In brackets: 95 % intervals from resampling configurations. Verdicts hold at level 0.02 over
all measures (Holm). Controls: random numbers, the number of parameters, the design's own prediction, and a noisy
oracle.
""",
}


def table(evidence: Evidence) -> pd.DataFrame:
    """Judge the study's measures; see `gengap.scoreboard.report.wide` for the columns.

    Returns:
        Its columns, with ``expected`` and ``as_expected`` after the verdict where the study states expectations.

    Raises:
        UserError: If a quantity was not measured.
    """
    found = scoreboard.judged(evidence)
    if stated := scoreboard.settings_of(evidence).expected:
        expected = found["measure"].map(stated).fillna("")
        met = (found["verdict"] == expected).map({True: "yes", False: "no"}).where(expected != "", "")
        place = list(found.columns).index("verdict") + 1
        found.insert(place, "expected", expected)
        found.insert(place + 1, "as_expected", met)
    return found
