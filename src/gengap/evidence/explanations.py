"""Explanations of the gap side by side: intrinsic dimension, ticket size, layer robustness, margin."""

import math

import pandas as pd
from scipy.stats import kendalltau

from gengap.errors import UserError
from gengap.evidence.intervals import grouped
from gengap.evidence.lottery_arms import kind_of
from gengap.evidence.measurements import SEED, Evidence

ARM, SUBSPACE = "arm", "subspace"
SHARE = 0.9  # of the whole network's train accuracy, which a subspace must reach
TOLERANCE = 0.01  # by which a ticket may be less accurate on the test set than the whole network
MEASURES = {
    "intrinsic_dimension": "intrinsic dimension",
    "ticket_size": "weights of the smallest ticket",
    "layer_rise": "rise of the error after a layer's reset",
    "margin": "median normalized margin",
}
_PROBED = {"layer_rise": "error_rise_after_reset", "margin": "normalized_margin_median"}


def explained(evidence: Evidence) -> pd.DataFrame:
    """The gap of every whole network, beside what may explain it.

    Arms are named as `gengap.evidence.lottery_arms` says: `dense` is the whole network, `ticket_3` its third ticket;
    all other arms train the same network in a subspace.

    Returns:
        One row per network and seed: the other axes, the seed, ``gap`` (train minus test accuracy) and `MEASURES`:
        the smallest subspace with `SHARE` of the train accuracy, and the number of weights of the smallest ticket that
        loses at most `TOLERANCE` of test accuracy, the whole network among them; NaN where no subspace reaches it.

    Raises:
        UserError: If the study has no whole networks, or lacks what a measure needs.
    """
    needed = {ARM, SUBSPACE, "weights_left", *_PROBED.values()}
    if missing := sorted(needed - set(evidence.cells)):
        raise UserError(
            f"study '{evidence.study['name']}': explanations need arms with subspaces and tickets, and the probes "
            f"performance, sparsity, layer_reset and margin; there is no {missing[0]}."
        )
    axes = [axis for axis in evidence.axes if axis != ARM]
    cells = evidence.finished.assign(d=pd.to_numeric(evidence.finished[SUBSPACE], errors="coerce"))
    kinds = cells[ARM].astype(str).map(lambda arm: (kind_of(arm) or ("", "", 0))[1])
    rows = []
    for at, own in grouped(cells, [*axes, SEED]):
        whole = own[kinds[own.index] == "dense"]
        if whole.empty:
            continue
        first = whole.iloc[0]
        inside = own[own["d"].notna() & (own["train_accuracy"] >= SHARE * first["train_accuracy"])]
        tickets = own[(kinds[own.index] == "ticket") & (own["test_accuracy"] >= first["test_accuracy"] - TOLERANCE)]
        left = min(1.0, float(tickets["weights_left"].min())) if len(tickets) else 1.0
        found = {
            "gap": first["train_accuracy"] - first["test_accuracy"],
            "intrinsic_dimension": float(inside["d"].min()) if len(inside) else math.nan,
            "ticket_size": left * float(first["n_parameters"]),
            **{name: float(first[quantity]) for name, quantity in _PROBED.items()},
        }
        rows.append(at | found)
    return pd.DataFrame(rows)


def correlations(networks: pd.DataFrame) -> pd.DataFrame:
    """Kendall's tau-b of every measure and the gap over the networks of one seed: seeds by measures.

    A network without a measure is left out of all, so that all are over the same networks.
    """
    complete = networks.dropna(subset=list(MEASURES))
    found = {
        seed: {name: float(kendalltau(own[name], own["gap"]).statistic) for name in MEASURES}
        for seed, own in complete.groupby(SEED)
    }
    return pd.DataFrame.from_dict(found, orient="index", columns=list(MEASURES))
