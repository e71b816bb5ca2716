"""Which explanation orders networks as their gaps do: rank correlations side by side."""

from typing import Any

import pandas as pd

from gengap.evidence.explanations import MEASURES, correlations, explained
from gengap.evidence.measurements import Evidence
from gengap.evidence.node_curves import judged

PART = {
    "summary": "Rank correlation with the gap of intrinsic dimension, ticket size, layer robustness and margin.",
    "needs": ("weights_left", "error_rise_after_reset", "normalized_margin_median", "train_accuracy"),
    "varies": {"training.subspace": 2, "arm": 2},
    "caption": """\
**Explanations side by side** (study ``{{ snakemake.wildcards.study }}``). Kendall's tau of a measure and the gap (train
minus test accuracy) over the networks of one seed, which differ in width and in the share of random labels; and by how
much the intrinsic dimension's exceeds, in size, that of every other measure. Means over seeds with their 95 %
confidence intervals (Student's t). *Holds* says that the interval lies above 0, *opposite* that it lies below. The
networks of a seed share their data, and few differ in more than one setting, so a large tau may be that of the setting.
The same table is beside this file as CSV, Markdown and LaTeX.
""",
}


def table(evidence: Evidence) -> pd.DataFrame:
    """One row per measure, and one per comparison with the intrinsic dimension."""
    networks = explained(evidence)
    found = correlations(networks)
    complete = networks.dropna(subset=list(MEASURES)).groupby("seed").size()
    rows: list[dict[str, Any]] = []
    for name, words in MEASURES.items():
        rows.append({"effect_is": f"tau of the gap and the {words}", **judged(found[name].tolist())})
    for name, words in MEASURES.items():
        if name != "intrinsic_dimension":
            better = found["intrinsic_dimension"].abs() - found[name].abs()
            rows.append(
                {"effect_is": f"|tau| of the intrinsic dimension minus that of the {words}", **judged(better.tolist())}
            )
    return pd.DataFrame(rows).assign(networks=int(complete.min()) if len(complete) else 0)
