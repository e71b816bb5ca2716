"""Fan-out of lucky and unlucky nodes near a teacher, and the time to converge (Luck Matters 2019, theorems 4 and 5)."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gengap.counting import span
from gengap.evidence.figures.drawing import BAND, GREY, handle, handles, legend, note, palette, title
from gengap.evidence.intervals import grouped, usable
from gengap.evidence.measurements import Evidence, measured
from gengap.evidence.resampling import statistics

PART = {
    "summary": "Fan-out norms of lucky and unlucky nodes against steps, and steps to converge against overlap.",
    "simulation": "near_teacher",
    "caption": """\
**Lucky nodes converge, and the others' fan-out fades** (study ``{{ snakemake.wildcards.study }}``; Tian et al. 2019,
theorems 4 and 5). Above: mean fan-out norm of the students that started near a teacher node (solid) and of the others
(dashed) against steps of gradient descent, for several students per teacher node; lines are medians over the draws,
since a few that are late would lead a mean, bands hold the middle half. Below: steps until the lucky students have a
mean cosine of 0.99 to their teacher nodes, against their cosine at the start; means over the draws that got there, with
95 % percentile bootstrap intervals. *What to look for:* dashed lines that fall towards 0 however many nodes there are,
and fewer steps from a larger overlap.
""",
}

CURVES = {"lucky_fan_out_curve": "lucky", "unlucky_fan_out_curve": "unlucky"}
STYLES = {"lucky": "-", "unlucky": (0, (3, 1.5))}
COLUMNS = ["panel", "multiplier", "overlap", "nodes", "step", "n", "mean", "median", "low", "high"]


def data(evidence: Evidence) -> pd.DataFrame:
    """Fan-out norms by step with their quartiles, panel ``fan_out``, and steps to converge, panel ``steps``."""
    measured(evidence, "lucky_overlap", "near_teacher")
    cells = evidence.cells.set_index("cell")
    steps = {len(array.values[0]): array.values[0] for array in evidence.arrays("simulated_step")}
    rows: list[tuple[Any, ...]] = []
    for quantity, nodes in CURVES.items():
        found: dict[tuple[int, float], list[np.ndarray]] = {}
        for array in evidence.arrays(quantity):
            for cell, values in zip(array.rows["cell"], array.values, strict=True):
                at = cells.loc[cell]
                found.setdefault((int(at["multiplier"]), float(at["overlap"])), []).append(values)
        for (multiplier, overlap), curves in found.items():
            together = np.stack(curves)
            if np.isfinite(together).all():
                of_draws = together.mean(axis=0), *np.quantile(together, [0.5, 0.25, 0.75], axis=0)
                ends = zip(steps[together.shape[1]], *of_draws, strict=True)
                rows += [("fan_out", multiplier, overlap, nodes, step, len(curves), *values) for step, *values in ends]
    for at, part in grouped(evidence.cells, ["multiplier", "overlap"]):
        times = usable(part, "steps_to_converge")
        of = statistics(times)
        first = "steps", int(at["multiplier"]), float(at["overlap"]), "lucky", np.nan, len(times)
        rows.append((*first, of["mean"], of["median"], of["mean_low"], of["mean_high"]))
    return pd.DataFrame(rows, columns=COLUMNS)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Curves above, times below."""
    figure = Figure(figsize=(mpl.rcParams["figure.figsize"][0], 4.2))
    above, below = figure.subplots(2, 1)
    fan_out = data[data["panel"] == "fan_out"]
    overlap = fan_out.groupby("overlap")["multiplier"].nunique().idxmax()  # that of which most multipliers were run
    fan_out = fan_out[fan_out["overlap"] == overlap]
    colors = palette(f"{multiplier} per teacher node" for multiplier in fan_out["multiplier"])
    for at, curve in grouped(fan_out, ["multiplier", "nodes"]):
        color = colors[f"{at['multiplier']} per teacher node"]
        above.plot(curve["step"], curve["median"], color=color, linestyle=STYLES[at["nodes"]])
        above.fill_between(curve["step"], curve["low"], curve["high"], color=color, alpha=BAND, linewidth=0)
    above.set(xlabel="step", ylabel="fan-out norm $\\|v_k\\|$", yscale="log")
    steps = data[data["panel"] == "steps"]
    multiplier = steps.groupby("multiplier")["overlap"].nunique().idxmax()
    times = steps[(steps["multiplier"] == multiplier) & (steps["n"] > 0)].sort_values("overlap")
    error = np.nan_to_num([times["mean"] - times["low"], times["high"] - times["mean"]])
    below.errorbar(times["overlap"], times["mean"], error, color="black", marker="o", markersize=3)
    below.set(xlabel="cosine at the start", ylabel="steps to a cosine of 0.99")
    if len(times):
        below.set_yscale("log")
    else:
        note(below, "no student got there", alone=False)
    draws = evidence.cells.groupby(["multiplier", "overlap"]).size()
    drawn = span(draws.min(), draws.max(), "draw")
    title(
        figure,
        f"{drawn} of every setting; above: cosine {overlap:g}; below: {multiplier} per teacher node",
    )
    look = [handle(name, color=GREY, linestyle=style) for name, style in STYLES.items()]
    legend(figure, [*handles(colors), *look], below=True)
    return figure
