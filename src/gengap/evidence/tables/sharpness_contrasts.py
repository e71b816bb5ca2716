"""Sharpness of small and of large batches in every variant, and what is left of the contrast."""

import math

import numpy as np
import pandas as pd

from gengap.errors import UserError
from gengap.evidence.intervals import grouped, interval, usable
from gengap.evidence.measurements import Evidence
from gengap.evidence.sharpness_variants import BATCH_SIZE, contrasts

PART = {
    "summary": "Sharpness by batch size in every variant, with the contrast of large over small batches.",
    "varies": {"training.batch_size": 2},
    "caption": """\
**What is left of the contrast of sharpness** (study ``{{ snakemake.wildcards.study }}``; Keskar et al. 2017, Table
3). Mean sharpness over seeds for either batch size, and the ratio of large over small batches of one seed: geometric
mean, in brackets its 95 % confidence interval (Student's t on logarithms; in the CSV ``ratio_low`` and
``ratio_high``). Variants: the printed ten steps of L-BFGS-B in the full space; a search that went on to convergence;
random subspaces; after all filters in front of a BatchNorm were divided by their norms; after they were multiplied by
one factor. The last two leave the function as it is. *Projected gradient* is the largest over seeds of the norm of
the gradient where the search ended, without what points out of the box: 0 at a maximum, else the sharpness is a lower
bound.
""",
    "needs": ("sharpness",),
}

# Where `sharpness_projected_gradient` [scaling, space, eps] holds each variant.
_PLACES = {
    "sharpness": (0, 0),
    "subspace_sharpness": (0, 1),
    "normalized_sharpness": (1, 0),
    "normalized_subspace_sharpness": (1, 1),
}


def table(evidence: Evidence) -> pd.DataFrame:
    """Means, ratios and projected gradients.

    Returns:
        One row per variant, size of the box and group of networks: ``variant``, ``eps``, the axes but the batch size,
        ``small`` and ``large``, mean sharpness, ``ratio`` with its ends, ``n`` pairs, and ``projected_gradient``.

    Raises:
        UserError: If the study has not both, sharpness and several batch sizes.
    """
    rows = []
    gradients = _projected_gradients(evidence)
    sizes = pd.to_numeric(evidence.cells[BATCH_SIZE]) if BATCH_SIZE in evidence.cells else None
    for quantity, words, eps, differences in contrasts(evidence):
        own = evidence.cells[evidence.cells["cell"].isin(differences.index)]
        axes = [axis for axis in evidence.axes if axis != BATCH_SIZE]
        for at, part in grouped(own, [*axes, BATCH_SIZE]):
            alike = evidence.cells
            for axis in axes:
                alike = alike[alike[axis] == at[axis]]
            smallest = alike[sizes[alike.index] == sizes[alike.index].min()]  # type: ignore[index]
            ours = interval(differences[part["cell"]])
            low, high = ours.of_mean
            ratio = {"ratio": 10**ours.mean, "ratio_low": 10**low, "ratio_high": 10**high, "n": ours.n}
            means = {"small": usable(smallest, quantity).mean(), "large": usable(part, quantity).mean()}
            left = [gradients.get((quantity, cell), math.nan) for cell in (*smallest["cell"], *part["cell"])]
            largest = np.nanmax(left) if np.isfinite(left).any() else math.nan
            rows.append({"variant": words, "eps": eps, **at, **means, **ratio, "projected_gradient": largest})
    if not rows:
        raise UserError(
            f"study '{evidence.study['name']}': contrasts need several values of training.batch_size in `grid` and the "
            "probe sharpness. Add them, or remove 'sharpness_contrasts' from `tables`."
        )
    return pd.DataFrame(rows)


def _projected_gradients(evidence: Evidence) -> dict[tuple[str, str], float]:
    """Norms by quantity and cell, of each cell's last measurement."""
    found: dict[tuple[str, str], float] = {}
    for half, eps in (("", 0), ("_in_half_box", 1)):
        for array in evidence.arrays("sharpness_projected_gradient"):
            for cell, values in zip(array.rows["cell"], array.values, strict=True):
                found |= {(f"{name}{half}", cell): float(values[(*place, eps)]) for name, place in _PLACES.items()}
        for array in evidence.arrays("converged_projected_gradient"):
            for cell, values in zip(array.rows["cell"], array.values, strict=True):
                found[f"converged_sharpness{half}", cell] = float(values[eps])
    return found
