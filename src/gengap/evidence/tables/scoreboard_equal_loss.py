"""Which verdicts of the scoreboard change where networks are compared at equal training loss."""

import pandas as pd

from gengap.evidence import scoreboard
from gengap.evidence.measurements import Evidence
from gengap.scoreboard.board import decide

PART = {
    "summary": "The scoreboard's verdicts with and without the training loss held equal.",
    "caption": """\
**Verdicts at equal training loss** (study ``{{ snakemake.wildcards.study }}``).
A network that fits its training samples better has another gap and other measures. ``verdict`` is that of the table
``scoreboard``; for ``at equal train loss`` the training loss is regressed out of measure and gap within
configurations, as a polynomial of degree 3 of its ranks. ``p`` is that of the correlation at equal design (Holm).
""",
    "needs": ("train_loss",),
}
LOSS = "train_loss"


def table(evidence: Evidence) -> pd.DataFrame:
    """Judge the study's measures twice.

    Returns:
        One row per measure: ``measure``, ``verdict``, ``p``, ``at_equal_train_loss``, ``p_at_equal_train_loss``,
        ``why``
        (of the latter); those with another verdict first.

    Raises:
        UserError: If a quantity was not measured, or too few networks finished.
    """
    settings = scoreboard.settings_of(evidence)
    plain = settings.model_copy(update={"equal": tuple(name for name in settings.equal if name != LOSS)})
    equal = settings.model_copy(update={"equal": (*plain.equal, LOSS)})
    without, held = (
        decide(scoreboard.networks([evidence], each), resamples=settings.resamples) for each in (plain, equal)
    )
    rows = [
        (name, without[name].word, without[name].p, verdict.word, verdict.p, verdict.why)
        for name, verdict in held.items()
    ]
    columns = ["measure", "verdict", "p", "at_equal_train_loss", "p_at_equal_train_loss", "why"]
    found = pd.DataFrame(rows, columns=columns)
    changed = found["verdict"] != found["at_equal_train_loss"]
    return found.assign(changed=changed).sort_values("changed", ascending=False, kind="stable").drop(columns="changed")
