"""How well couplings tell teacher nodes apart, diagonal against the rest (Luck Matters 2019, Fig. 10, as numbers)."""

import pandas as pd

from gengap.evidence.intervals import grouped, interval
from gengap.evidence.measurements import Evidence, lacking
from gengap.evidence.node_curves import by_layer, judged, layers

PART = {
    "summary": "Contrast of couplings between teacher and student nodes, by layer and epoch (Luck Matters 2019).",
    "needs": ("coupling_contrast", "gated_coupling_contrast"),
    "caption": """\
**Contrast of the couplings** (study ``{{ snakemake.wildcards.study }}``; after Tian et al. 2019, Fig. 10). One row per
group of networks that differ in their seed alone, hidden layer and epoch. The mean size of the coupling of teacher
nodes with the students that correlate most with them, divided by that with the other teacher nodes' students, for
beta* (all samples) and for H* (samples that open both ReLUs); 1 is no contrast. Then H*'s contrast minus beta*'s, one
number per seed, and whether the claim that H* is sharper *holds*. In brackets the 95 % confidence interval over seeds
(Student's t). The same table is beside this file as CSV, Markdown and LaTeX.
""",
}


def table(evidence: Evidence) -> pd.DataFrame:
    """Means over the finished seeds.

    Raises:
        UserError: If the study lacks the probe ``backward_coupling``.
    """
    beta, gated = by_layer(evidence, "coupling_contrast"), by_layer(evidence, "gated_coupling_contrast")
    if not len(beta):
        raise lacking(evidence, "coupling_contrast", "backward_coupling")
    rows = []
    for at, cells in grouped(evidence.cells, evidence.axes):
        own = [cell for cell in cells["cell"] if cell in beta.index]
        for layer in layers(beta):
            for epoch in sorted(beta[layer].columns):
                column = (layer, epoch)
                found: dict[str, object] = {"layer": layer, "epoch": epoch}
                for name, values in (("beta", beta), ("H", gated)):
                    ours = interval(values[column].loc[own].dropna())
                    found |= {name: ours.mean, f"{name}_low": ours.of_mean[0], f"{name}_high": ours.of_mean[1]}
                sharper = judged((gated[column].loc[own] - beta[column].loc[own]).tolist())
                rows.append(at | found | sharper)
    return pd.DataFrame(rows)
