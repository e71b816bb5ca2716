"""How many clean images give the clean accuracy that training on patched images ends with (Li, Wei and Ma 2019)."""

import math

import numpy as np
import pandas as pd

from gengap.errors import UserError
from gengap.evidence.intervals import interval
from gengap.evidence.measurements import SEED, Evidence

PART = {
    "summary": "Effective number of clean images of training on images with patches.",
    "varies": {"labels.train_size": 2, "arm": 2},
    "caption": """\
**The effective number of clean images** (study ``{{ snakemake.wildcards.study }}``; after Li, Wei and Ma 2019,
section 5). For every arm with patches: its accuracy on clean test images, and the number of clean images at which the
arm with the same learning rate and without patches reaches that accuracy, on a line through its mean accuracies over
the logarithm of the number. One number per seed; geometric mean with its 95 % confidence interval (Student's t on
logarithms; of the patched runs alone, the line is taken as known). Accuracies outside the line are put at its end,
and counted in ``at_an_end``: the interval then says too little.
""",
    "needs": ("clean_accuracy",),
}

ARM, SIZE, PREFIX = "arm", "train_size", "patches_"
ALL_IMAGES = 50_000  # of CIFAR-10, where `train_size` is null


def table(evidence: Evidence) -> pd.DataFrame:
    """Effective numbers of clean images.

    Returns:
        One row per arm with patches and arm of clean images: ``trained``, ``compared_with``, ``clean_accuracy`` [%],
        ``images`` with its ends ``images_low`` and ``images_high``, ``n`` seeds, ``at_an_end`` of them.

    Raises:
        UserError: If arms or numbers of images are missing.
    """
    finished = evidence.finished
    arms = [str(arm) for arm in dict.fromkeys(finished[ARM])] if ARM in finished else []
    patched = [arm for arm in arms if arm.startswith(PREFIX)]
    clean = [arm for arm in arms if not arm.startswith(PREFIX)]
    lines = {arm: _line(finished[finished[ARM] == arm]) for arm in clean if SIZE in finished}
    lines = {arm: line for arm, line in lines.items() if len(line) > 1}
    rows = []
    for arm in patched:
        own = finished[finished[ARM] == arm].drop_duplicates(SEED)
        for against in [one for one in lines if arm.removeprefix(PREFIX).startswith(one)]:
            line = lines[against]
            accuracies = own["clean_accuracy"].to_numpy(dtype=float)
            logs = np.interp(accuracies, line.to_numpy(), np.log(line.index.to_numpy(dtype=float)))
            ours = interval(logs)
            low, high = ours.of_mean
            ends = int(((accuracies <= line.iloc[0]) | (accuracies >= line.iloc[-1])).sum())
            rows.append(
                {
                    "trained": arm,
                    "compared_with": against,
                    "clean_accuracy": 100 * float(accuracies.mean()) if len(accuracies) else math.nan,
                    "images": math.exp(ours.mean),
                    "images_low": math.exp(low),
                    "images_high": math.exp(high),
                    "n": ours.n,
                    "at_an_end": ends,
                }
            )
    if not rows:
        raise UserError(
            f"study '{evidence.study['name']}': effective numbers of images need finished arms 'large' and 'small' at "
            "several labels.train_size, and arms 'patches_large', 'patches_small' on the label rule patches."
        )
    return pd.DataFrame(rows)


def _line(cells: pd.DataFrame) -> pd.Series:
    """Mean test accuracy by number of images, made to rise by the running largest; no number stands for all images."""
    sizes = pd.to_numeric(cells[SIZE], errors="coerce").fillna(ALL_IMAGES)
    means = cells["test_accuracy"].groupby(sizes).mean().sort_index()
    return means.cummax()
