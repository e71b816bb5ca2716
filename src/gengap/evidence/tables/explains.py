"""Which measure is ordered like the generalization gap: rank correlations with intervals, controls beside them."""

import pandas as pd

from gengap.evidence.explaining import CONTROLS, PARAMETERS, compared, correlations, measures, without_measure
from gengap.evidence.measurements import Evidence
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Rank correlation of every measure with the generalization gap, across axes and over seeds.",
    "options": {
        "measures": {
            "type": "quantities",
            "default": (),
            "meaning": "Quantities of whole networks; none: all that were measured without the test set.",
        },
    },
    "needs": (
        "train_accuracy",
        "test_accuracy",
    ),
    "caption": """\
**Which measure is ordered like the generalization gap** (study ``{{ snakemake.wildcards.study }}``). Kendall's tau of
each measure with train accuracy minus test accuracy: 1 where both order every pair of networks alike, 0 where they do
not know of each other, -1 where one falls as the other rises. ``across``: among the networks of one seed, which differ
in their settings; the mean over seeds with its 95 % confidence interval (Student's t). ``along`` an axis: only groups
in which nothing else changes (Jiang et al. 2020). ``within``: among networks of equal settings, which differ in their
seed; the mean over settings with its interval. Controls know nothing of the trained weights: the number of parameters,
and random numbers. Quantities of the test set, of single layers and arrays are no measures; a probe that has no other
stands in a last row. ``networks`` counts those that were compared: of which the measure is a finite number. *What to
look for:* a measure that explains the gap has ``across`` and ``within`` on the same side of 0, and further from it than
the controls; one with ``within`` at 0 may only stand for the settings. Dead, stuck and diverged networks are left out.
The table ``scoreboard`` judges measures over many settings.
""",
}


def table(evidence: Evidence) -> pd.DataFrame:
    """One row per measure, then the controls, then the probes that measured nothing that could be compared.

    Returns:
        ``measure``, ``probe``, ``networks`` (of which it is a number), and for ``across``, ``along_{axis}`` of every
        axis, if there are several, and ``within`` the mean tau, ``_low`` and ``_high``; see
        `gengap.evidence.explaining`.

    Raises:
        UserError: If a measure or the gap was not measured.
    """
    found = measures(evidence, evidence.options["measures"])
    rows = []
    for name, probe in (found | dict.fromkeys(CONTROLS, "control")).items():
        label = QUANTITIES[name].label if name in QUANTITIES else name
        row: dict[str, object] = {"measure": "number of parameters" if name == PARAMETERS else label, "probe": probe}
        row["networks"] = len(compared(evidence, name))
        for kind, mean, low, high in correlations(evidence, name):
            row |= {kind: mean, f"{kind}_low": low, f"{kind}_high": high}
        rows.append(row)
    if not evidence.options["measures"]:
        rows += [
            {"measure": f"none: {what}", "probe": probe, "networks": 0}
            for probe, what in without_measure(evidence).items()
        ]
    return pd.DataFrame(rows)
