"""The ways in which sharpness was measured, and the contrast between batch sizes in each."""

import numpy as np
import pandas as pd

from gengap.evidence.measurements import Evidence
from gengap.evidence.paired import pairs

BATCH_SIZE = "batch_size"
VARIANTS = {
    "sharpness": "full space, 10 steps",
    "converged_sharpness": "full space, to convergence",
    "subspace_sharpness": "random subspaces",
    "normalized_sharpness": "filters of norm 1",
    "normalized_subspace_sharpness": "filters of norm 1, random subspaces",
    "rescaled_sharpness": "filters rescaled",
}
HALF = "_in_half_box"
EPS = {"": "0.001", HALF: "0.0005"}


def contrasts(evidence: Evidence) -> list[tuple[str, str, str, pd.Series]]:
    """``log10`` of large over small batches' sharpness, of pairs of finished cells with one seed.

    Returns:
        For every variant and size of the box that was measured: quantity, words, size, and the contrast by the name
        of the large batches' cell. Pairs of which one is not above 0 are left out.
    """
    if BATCH_SIZE not in evidence.axes:
        return []
    finished = evidence.finished.set_index("cell")
    found = []
    for name, words in VARIANTS.items():
        for half, eps in EPS.items():
            if (quantity := f"{name}{half}") not in finished:
                continue
            values = np.log10(finished[quantity].where(finished[quantity] > 0))
            each = [
                (both["cell"], both["cell"].map(values), both["baseline"].map(values))
                for _, _, both in pairs(evidence, BATCH_SIZE)
            ]
            differences = [(large - small).set_axis(cell) for cell, large, small in each]
            if differences:
                found.append((quantity, words, eps, pd.concat(differences).dropna()))
    return found
