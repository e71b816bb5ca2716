"""Both ends of the Hessian's spectrum by Lanczos' method against the whole spectrum."""

import math

import pandas as pd

from gengap.errors import UserError
from gengap.evidence.measurements import Evidence, lacking, measured

PART = {
    "summary": "Ends of the Hessian's spectrum by Lanczos' method against all of it.",
    "needs": (
        "hessian_eigenvalues",
        "hessian_largest_residual",
    ),
    "options": {
        "tolerance": {
            "type": "float",
            "default": 1e-3,
            "gt": 0,
            "meaning": "Largest relative difference that counts as agreement.",
        },
    },
    "caption": """\
**Lanczos' method against the whole spectrum** (study ``{{ snakemake.wildcards.study }}``). One row per network and end
of the Hessian's spectrum: over the epochs that both probes measured on the same images in the same BatchNorm mode, the
largest difference relative to the whole spectrum's value, its epoch, and whether it is within the option ``tolerance``,
by default 1e-3. Lanczos' method stops where its estimated relative error is 1e-4, and an eigenvalue near 0 is only
known to a thousandth of the other end's magnitude, so that the most negative one may differ by more where it is small.
""",
}

EXACT, LANCZOS = "hessian_spectrum", "hessian_extremes"
ENDS = {"largest": "hessian_largest", "smallest": "hessian_smallest"}


def table(evidence: Evidence) -> pd.DataFrame:
    """The largest relative difference of each cell over the epochs that both probes measured.

    Returns:
        One row per cell and end of the spectrum: ``cell``, ``eigenvalue``, ``batchnorm``, ``epochs``, how many both
        measured, ``largest_difference``, relative to the whole spectrum's value, ``at_epoch`` of it, and
        ``within_0.001``, named after the tolerance, yes or no.

    Raises:
        UserError: If the study lacks one of the probes, or they share no epoch, sample count or BatchNorm mode.
    """
    tolerance = evidence.options["tolerance"]
    rows = []
    for end, quantity in ENDS.items():
        both = _both(evidence, quantity)
        for (cell, mode), part in both.groupby(["cell", "batchnorm"], sort=False):
            worst = part.nlargest(1, "difference").iloc[0]
            within = bool((part["difference"] <= tolerance).all())
            rows.append(
                {
                    "cell": cell,
                    "eigenvalue": end,
                    "batchnorm": mode,
                    "epochs": len(part),
                    "largest_difference": f"{worst['difference']:.2g}",
                    "at_epoch": f"{worst['epoch']:g}",
                    f"within_{tolerance:g}": "yes" if within else "no",
                }
            )
    return pd.DataFrame(rows)


def _both(evidence: Evidence, quantity: str) -> pd.DataFrame:
    """Values of both probes side by side, and their relative difference."""
    rows = measured(evidence, quantity, EXACT)
    key = ["cell", "epoch", "batchnorm"]
    parts = {probe: rows.loc[rows["probe"] == probe, [*key, "value"]] for probe in (EXACT, LANCZOS)}
    for probe, part in parts.items():
        if part.empty:
            raise lacking(evidence, quantity, probe)
    both = parts[EXACT].merge(parts[LANCZOS], on=key, suffixes=("_exact", "_lanczos"))
    if both.empty:
        raise UserError(
            f"study '{evidence.study['name']}': {EXACT} and {LANCZOS} share no epoch and BatchNorm mode. Give both "
            "the same `batchnorm` and `samples`, and at least one common epoch."
        )
    exact, lanczos = both["value_exact"], both["value_lanczos"]
    # Two zeros, of a dead network, agree; what is not a number never does.
    difference = ((lanczos - exact).abs() / exact.abs()).fillna(math.inf).where(lanczos != exact, 0.0)
    return both.assign(difference=difference)
