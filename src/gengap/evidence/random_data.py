"""Studies of random labels and images: which data each network saw, and what its network is called."""

import pandas as pd

from gengap.evidence import words
from gengap.evidence.measurements import Evidence

LABELS, SHARE, PERMUTATION = "labels", "random_share", "permutation"
TRUE = "true data"
WHOLE = {"random_labels": "random labels", "noise_images": "noise images"}
PERMUTED = {"one": "one permutation", "each": "a permutation per image"}


def with_data(evidence: Evidence) -> pd.DataFrame:
    """A study's cells, failed ones included, with columns that say what they were trained on.

    Returns:
        The cells with the columns ``kind``, `WHOLE`'s or `PERMUTED`'s words for the rule, the true data's included;
        ``share``, that of the images which the rule changes, from 0 to 1; ``data``, both in words, ``true data`` for a
        share of 0; and ``network``, the other axes in words.
    """
    cells = evidence.cells
    rule, share, permutation = (_setting(evidence, name) for name in (LABELS, SHARE, PERMUTATION))
    permuted = rule == "permuted_pixels"
    kind = rule.map(WHOLE).mask(permuted, permutation.map(PERMUTED)).fillna(TRUE)
    changed = pd.to_numeric(share, errors="coerce").mask(permuted, 1.0).where(kind != TRUE, 0.0)
    data = [_data(*each) for each in zip(kind, changed, strict=True)]
    others = [axis for axis in evidence.axes if axis not in (LABELS, SHARE, PERMUTATION) and cells[axis].nunique() > 1]
    network = [words.settings(dict(zip(others, row, strict=True))) for row in cells[others].itertuples(index=False)]
    return cells.assign(kind=kind, share=changed, data=data, network=network)


def _setting(evidence: Evidence, name: str) -> pd.Series:
    """A setting of every cell: an axis, what changes with one, or what all share."""
    if name in evidence.cells:
        return evidence.cells[name].astype(str)
    return pd.Series(evidence.study["fixed"].get(name, ""), index=evidence.cells.index)


def _data(kind: str, share: float) -> str:
    if share == 0:
        return TRUE
    return kind if share == 1 else f"{100 * share:g} % {kind}"
