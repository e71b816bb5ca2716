"""The claims of Denis' survey, each with its effect, interval and verdict, as far as a study can judge them."""

import functools
from collections.abc import Iterator
from typing import Any

import pandas as pd

from gengap.errors import UserError
from gengap.evidence import (
    batchnorm_claims,
    double_descent_claims,
    layer_claims,
    random_data_claims,
    size_claims,
    subspace_claims,
    theory_claims,
)
from gengap.evidence.early_stopping import early_stops
from gengap.evidence.intervals import grouped
from gengap.evidence.lottery_arms import arm_of, kind_of
from gengap.evidence.measurements import Evidence
from gengap.evidence.node_curves import judged
from gengap.evidence.sample_errors import LEARNING

PART = {
    "summary": "Claims of Denis' survey on over-parameterised networks, each with effect, interval and verdict.",
    "caption": """\
**Claims of the survey, judged** (study ``{{ snakemake.wildcards.study }}``). One row per claim that this study's
measurements can judge and per group of networks or draws that differ in their seed alone. Every effect is one number
per seed, signed so that the claim asks for more than 0; in brackets its 95 % confidence interval (Student's t). A claim
*holds* where the interval lies above 0; it is the *opposite* where it lies below, and *undecided* where it contains 0;
fewer than five seeds judge nothing. Dead, stuck and diverged networks are left out; stuck ones, which learned nothing,
count after a single epoch, and where the claim is that something is fitted or learned. Intervals are not widened for
the number of rows. The same table is beside this file as CSV, Markdown and LaTeX.
""",
}

TAKEN = LEARNING

_SMALL = 2  # k of the small network of the XOR problem
Effect = tuple[str, str, dict[str, Any], pd.Series]  # the claim, what its effect is, the networks, the effect by seed


def table(evidence: Evidence) -> pd.DataFrame:
    """Judge every claim for every group of cells.

    Returns:
        One row per claim and group: ``claim``, ``effect_is``, ``networks``, and what `judged` returns.

    Raises:
        UserError: If nothing was measured that a claim is about.
    """
    rows = [
        {
            "claim": claim,
            "effect_is": effect_is,
            "networks": ", ".join(f"{axis.replace('_', ' ')} {value}" for axis, value in at.items()),
            **judged(effects.dropna().tolist()),
        }
        for claim, effect_is, at, effects in (
            *_xor(evidence),
            *_lottery(evidence),
            *double_descent_claims.effects(evidence),
            *subspace_claims.effects(evidence),
            *theory_claims.effects(evidence),
            *size_claims.effects(evidence),
            *random_data_claims.effects(evidence),
            *layer_claims.effects(evidence),
            *batchnorm_claims.effects(evidence),
        )
    ]
    if not rows:
        raise UserError(
            f"study '{evidence.study['name']}': no claim of the survey can be judged. Remove 'survey_claims' from "
            "`tables`."
        )
    return pd.DataFrame(rows)


def _xor(evidence: Evidence) -> Iterator[Effect]:
    """Are large networks better on the XOR problem, and does a small one started from their clusters keep that?"""
    if "xor_success" not in evidence.cells or "pairs" not in evidence.axes:
        return
    for at, cells in grouped(evidence.finished, [axis for axis in evidence.axes if axis != "pairs"]):
        by_seed = {int(pairs): own.set_index("seed") for pairs, own in cells.groupby(pd.to_numeric(cells["pairs"]))}
        small = by_seed.get(_SMALL)
        for pairs, large in by_seed.items():
            if pairs == _SMALL or small is None:
                continue
            where = {"pairs": pairs, **at}
            for quantity, words in (("xor_success", "global minimum"), ("xor_detected", "patterns detected")):
                claim = f"larger networks are better on XOR: {words}"
                yield claim, f"k = {pairs} minus k = {_SMALL}", where, large[quantity] - small[quantity]
            gap = small["xor_test_error"] - large["xor_test_error"]
            yield "larger networks generalise better on XOR", f"test error, k = {_SMALL} minus k = {pairs}", where, gap
            gain = small["xor_test_error"] - large["xor_cluster_test_error"]
            words = f"test error, k = {_SMALL} from random weights minus from clusters of k = {pairs}"
            yield "clusters of the large network help the small one", words, where, gain


def _lottery(evidence: Evidence) -> Iterator[Effect]:
    """Do winning tickets learn as well and as fast as the whole network, and better than their controls?

    Two networks are compared over the epochs that both were trained.
    """
    if "arm" not in evidence.axes or "weights_left" not in evidence.cells:
        return
    stops = functools.cache(functools.partial(early_stops, evidence))
    trained = evidence.history.groupby("cell")["epoch"].max()
    kinds = {"ticket": "tickets", "rewound": "rewound tickets", "one_shot": "networks pruned at once"}
    arms = {str(at["arm"]): own.set_index("seed") for at, own in grouped(evidence.finished, ["arm"])}
    for arm, own in arms.items():
        found = kind_of(arm)
        if found is None or found[1] not in ("ticket", "rewound", "one_shot"):
            continue
        where = {"arm": arm, "weights left": f"{100 * own['weights_left'].mean():.1f} %"}
        others = {"the whole network": arm_of(arm, "dense")}
        if found[1] == "ticket":
            others |= {"fresh weights": arm_of(arm, "fresh"), "a random mask": arm_of(arm, "random")}
        if found[1] == "rewound":
            others |= {"tickets of the first weights": arm_of(arm, "ticket")}
        for words, name in others.items():
            if name not in arms:
                continue
            both = stops(min(trained[one["cell"]].max() for one in (own, arms[name])))
            mine, its = (one[["cell"]].join(both, on="cell") for one in (own, arms[name]))
            better = mine["early_stop_accuracy"] - its["early_stop_accuracy"]
            sooner = its["early_stop_epoch"] - mine["early_stop_epoch"]
            yield (
                f"{kinds[found[1]]} are more accurate than {words}",
                f"accuracy at early stopping, {arm} minus {name}",
                where,
                better,
            )
            yield (
                f"{kinds[found[1]]} learn faster than {words}",
                f"epochs to early stopping, {name} minus {arm}",
                where,
                sooner,
            )
