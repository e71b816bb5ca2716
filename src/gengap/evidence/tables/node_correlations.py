"""Final correlations with the teacher's nodes and ranks of the winners, by group and layer."""

import pandas as pd

from gengap.evidence.intervals import grouped, interval
from gengap.evidence.measurements import Evidence, lacking
from gengap.evidence.node_curves import at_end, at_epoch, by_layer, layers, over_epochs

PART = {
    "summary": "Correlations with the teacher's nodes, and ranks of the winners, by layer (Luck Matters 2019).",
    "needs": ("best_node_correlation",),
    "caption": """\
**Correlations with the teacher's nodes** (study ``{{ snakemake.wildcards.study }}``; after Tian et al. 2019, Figs. 7 to
9). One row per group of networks that differ in their seed alone, and hidden layer, the first one first. The mean best
correlation before and after training, and by chance; the mean rank of the final winners before training and over the
epochs (0 is first, 1 last, 0.5 chance); the rank as the authors' code has it. In brackets the 95 % confidence interval
of the mean over seeds (Student's t). Dead, stuck and diverged networks are counted and enter no mean. The same table is
beside this file as CSV, Markdown and LaTeX.
""",
}


def table(evidence: Evidence) -> pd.DataFrame:
    """Means over the finished seeds.

    Raises:
        UserError: If the study lacks the probe ``node_correlation``.
    """
    rho, rank = by_layer(evidence, "best_node_correlation"), by_layer(evidence, "final_winner_rank")
    if not len(rho):
        raise lacking(evidence, "best_node_correlation", "node_correlation")
    chance, code = by_layer(evidence, "best_node_correlation_by_chance"), by_layer(evidence, "winner_start_rank")
    columns = {
        "correlation_at_start": at_epoch(rho, 0.0),
        "correlation": at_end(rho),
        "correlation_by_chance": at_end(chance),
        "rank_at_start": at_epoch(rank, 0.0),
        "rank_over_epochs": over_epochs(rank),
        "rank_of_the_code": at_end(code),
    }
    rows = []
    for at, cells in grouped(evidence.cells, evidence.axes):
        for layer in layers(rho):
            own = cells[cells["cell"].isin(rho.index)]["cell"]
            counts = {"layer": layer, "n": len(own), "left_out": len(cells) - len(own)}
            found: dict[str, float] = {}
            for name, values in columns.items():
                ours = interval(values[layer].reindex(own).dropna() if layer in values else [])
                found |= {name: ours.mean, f"{name}_low": ours.of_mean[0], f"{name}_high": ours.of_mean[1]}
            if found["correlation"] == found["correlation"] or len(own) == 0:  # not a layer that this group lacks
                rows.append(at | counts | found)
    return pd.DataFrame(rows)
