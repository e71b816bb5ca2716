"""Epochs to interpolation and test error against the share of random data (Zhang et al. 2017, Fig. 1b and c)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.counting import count
from gengap.errors import UserError
from gengap.evidence.derived import INTERPOLATION
from gengap.evidence.figures.drawing import band, handles, legend, note, palette, panels, title
from gengap.evidence.figures.groups import left_out, not_shown, told
from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import Evidence
from gengap.evidence.random_data import TRUE, with_data
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Epochs to interpolation and test error against the share of random labels or noise images.",
    "needs": ("test_accuracy",),
    "varies": {"labels.random_share": 3},
    "caption": """\
**Noise in the data** (study ``{{ snakemake.wildcards.study }}``; Zhang et al. 2017, Fig. 1b and c; Arpit et al. 2017,
Fig. 7). Above, the first epoch after which every training sample is classified correctly; below, the final test error;
both against the share of the training data that is random, one line per network and kind of noise. Means over the
finished seeds, bands from the smallest to the largest. A point is drawn where every seed reached interpolation, and the
line above the panels counts the others; the column ``n`` of the CSV counts those that did, ``seeds`` all. A share of
random labels that may be the image's own, as here, is wrong in nine of ten cases of ten classes. *What to look for:* a
time to interpolation that rises by a small factor, and a test error that goes all the way to chance.
""",
}

SHOWN = (INTERPOLATION, "test_error")
FEWEST = 3  # shares that make a curve


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds of both quantities, by ``group`` and ``share`` in percent.

    Raises:
        UserError: If no network was trained on several shares of random data.
    """
    rows = []
    for at, cells in grouped(shown(evidence), ["group", "share"]):
        finished = cells[cells["status"] == "finished"]
        for quantity in SHOWN:
            values = finished[quantity].dropna() * QUANTITIES[quantity].scale
            found = {"n": len(values), "mean": values.mean(), "min": values.min(), "max": values.max()}
            rows.append({**at, "share": 100 * at["share"], "quantity": quantity, "seeds": len(finished), **found})
    return pd.DataFrame(rows)


def shown(evidence: Evidence) -> pd.DataFrame:
    """The cells of the networks that were trained on several shares; ``group`` is network and kind of noise."""
    cells = with_data(evidence)
    cells = cells[cells["kind"] != TRUE]
    cells = cells[cells.groupby(["network", "kind"])["share"].transform("nunique") >= FEWEST]
    if cells.empty:
        raise UserError(
            f"study '{evidence.study['name']}': no network was trained on {FEWEST} shares of random data. Give "
            "labels.random_share more values in `grid`, or remove 'label_noise' from `figures`."
        )
    names = [column for column in ("network", "kind") if cells[column].nunique() > 1] or ["kind"]
    group = cells[names].agg(", ".join, axis=1)
    return cells.assign(group=group).sort_values("share", kind="stable").reset_index(drop=True)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Epochs to interpolation above the test error."""
    cells = shown(evidence)
    figure, axes = panels(len(SHOWN), height=4.2)
    colors = palette(data["group"])
    noisy = with_data(evidence)
    noisy = noisy[noisy["kind"] != TRUE]
    lines = [len(table[["network", "kind"]].drop_duplicates()) for table in (noisy, cells)]
    few = not_shown(lines[0] - lines[1], "line", f"fewer than {FEWEST} shares")
    times = data[data["quantity"] == INTERPOLATION]
    missing = int(((times["n"] < times["seeds"]) | (times["n"] == 0)).sum())
    # Where no point has a time, the panel says it.
    unreached = f"{missing} of {count(len(times), 'point')} without a time: a seed never fitted all samples"
    partly = unreached if 0 < missing < len(times) else ""
    title(figure, told(count(data["seeds"].max(), "seed"), left_out(cells), few, partly))
    for axis, quantity in zip(axes, SHOWN, strict=True):
        own = data[(data["quantity"] == quantity) & (data["n"] == data["seeds"]) & (data["n"] > 0)]
        axis.set_ylabel(QUANTITIES[quantity].axis)
        if own.empty:
            note(axis, "no network reached it with every seed", alone=False)
        for group, curve in own.groupby("group", sort=False):
            band(axis, curve, colors[str(group)], x="share", dots=True)
        axis.set_ylim(bottom=0)
    axes[-1].set_xlabel("share of random data [%]")
    legend(figure, handles(colors), below=True)
    return figure
