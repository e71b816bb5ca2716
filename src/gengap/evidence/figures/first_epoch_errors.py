"""How often each training sample is wrong after one epoch, against equally hard samples (Arpit et al. 2017, Fig. 1)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gengap.errors import UserError
from gengap.evidence.figures.drawing import beside, handle, handles, legend, palette, panels, title
from gengap.evidence.figures.groups import not_shown, told
from gengap.evidence.measurements import Evidence
from gengap.evidence.sample_errors import FEWEST, starts, too_few

PART = {
    "summary": "Share of starts that get each training sample wrong after one epoch, against a binomial null.",
    "needs": ("example_error_mean",),
    "varies": {"seed": 20},
    "caption": """\
**Samples that are learned first** (study ``{{ snakemake.wildcards.study }}``; Arpit et al. 2017, Fig. 1). For each
training sample, the share of starts that classify it wrongly after one epoch, samples sorted by it; starts differ in
initial weights and order. Dashed, what would be seen if all samples were equally hard: quantiles of a binomial
distribution with the same mean. *What to look for:* on true data, samples that nearly every start gets right and
others that nearly every start gets wrong; on random data, a solid line near its dashed one.
""",
}

NULL = (0, (3, 1.5))


def data(evidence: Evidence) -> pd.DataFrame:
    """By kind of data and rank of the sample [%], the share of starts that are wrong and that of the null, in percent.

    Raises:
        UserError: If there are too few starts.
    """
    tables = [
        pd.DataFrame(
            {
                "group": one.data,
                "starts": len(one.cells),
                "rank": 100 * (np.arange(one.errors.shape[1]) + 0.5) / one.errors.shape[1],
                "wrong": 100 * one.by_sample,
                "null": 100 * one.null,
            }
        )
        for one in starts(evidence)
    ]
    if not tables:
        raise UserError(
            f"study '{evidence.study['name']}': fewer than {FEWEST} networks that differ in their seed alone were "
            "measured after epoch 1. Give `seed` more values in `grid` and training.snapshots the epoch 1, or remove "
            "'first_epoch_errors' from `figures`."
        )
    return pd.concat(tables, ignore_index=True)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Sorted shares solid, the null dashed, one colour per kind of data."""
    figure, (axes,) = panels(1, height=2.9)
    colors = palette(data["group"])
    for group, own in data.groupby("group", sort=False):
        axes.plot(own["rank"], own["wrong"], color=colors[str(group)])
        axes.plot(own["rank"], own["null"], color=colors[str(group)], linestyle=NULL, linewidth=0.8)
    axes.set_xlim(0, 100)
    axes.set_ylim(-2, 102)
    axes.set_xlabel("training samples, sorted [%]")
    axes.set_ylabel("starts that are wrong [%]")
    few = not_shown(too_few(evidence), "group", f"fewer than {FEWEST} starts")
    title(axes, told("after one epoch", f"{data['starts'].min()} starts", few))
    last = data.groupby("group", sort=False)["wrong"].last()
    named = beside(axes, {group: (last[group], color) for group, color in colors.items()})
    styles = [handle("measured", color="0.35"), handle("equally hard samples", color="0.35", linestyle=NULL)]
    legend(figure, [*([] if named else handles(colors)), *styles], below=True)
    return figure
