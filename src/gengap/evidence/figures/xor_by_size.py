"""The XOR problem against the number of filters: global minima, test error, alignment (Brutzkus 2019)."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.by_axis import axis_data, axis_plot
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Global minima and test error on the XOR problem against the number of filters, and from clusters.",
    "simulation": "xor",
    "caption": """\
**Large and small networks on XOR** (study ``{{ snakemake.wildcards.study }}``; Brutzkus and Globerson 2019; the
survey's Figs. 13 to 15). Against k, half of the number of filters: the share of networks that find the global minimum,
and the exact test error, of the networks themselves (solid) and of networks of four filters that start from the cluster
centres of theirs (dashed); and how closely filters point along patterns, on an axis that does not begin at 0. One
column of panels per share of samples that are drawn until they hold both patterns of their class (diverse). Means over
draws, bars their 95 % bootstrap intervals. *What to look for:* solid lines that improve with k, and dashed ones that
stay with them where k is large.
""",
}

_DASHED = (0, (3, 1.5))
SHOWN: dict[str, dict[str, Any]] = {
    "global minimum": {"xor_success": "-", "xor_cluster_success": _DASHED},
    "test error [%]": {"xor_test_error": "-", "xor_cluster_test_error": _DASHED},
    "alignment": {"xor_alignment": "-"},
}
NAMES = {"xor_success": "2k filters", "xor_cluster_success": "4 filters, from clusters of 2k"}


def data(evidence: Evidence) -> pd.DataFrame:
    """See `axis_data`."""
    return axis_data(evidence, "pairs", [name for names in SHOWN.values() for name in names], "xor", columns="diverse")


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """A row of panels per quantity, a column per share of diverse samples."""
    return axis_plot(data, evidence, SHOWN, "k, half of the number of filters", names=NAMES, cut=["alignment"])
