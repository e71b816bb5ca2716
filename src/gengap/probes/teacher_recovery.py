"""How much of its teacher a student found again, as one number for the whole network."""

import torch

from gengap.probes.context import Measurement, ProbeContext
from gengap.probes.node_correlation import measure as measure_by_layer

PART = {
    "summary": "Node correlations and ranks of `node_correlation`, averaged over layers.",
    "reads": ("samples",),
    "options": {
        "draws": {
            "type": "int",
            "default": 3,
            "ge": 1,
            "meaning": "Random orders of the images that give the correlation by chance.",
        },
    },
    "batchnorm": ("running", "exact"),
    "teacher": True,
    "quantities": {
        "mean_node_correlation": {
            "label": "node correlation, mean over layers",
            "symbol": "\\bar\\rho",
            "meaning": "Mean over layers of the mean best node correlation.",
        },
        "mean_node_correlation_beyond_chance": {
            "label": "node correlation beyond chance",
            "symbol": "\\bar\\rho-\\bar\\rho_0",
            "meaning": "Mean over layers of the mean best node correlation minus what chance gives so many nodes.",
        },
        "mean_winner_start_rank": {
            "label": "rank of the winners at the start, mean over layers",
            "symbol": "\\bar r_0",
            "meaning": (
                "Mean over layers of the rank, before training, of the student nodes that are best at this epoch: 0 is "
                "first, 1 last."
            ),
        },
    },
    "picture": {"quantity": "mean_node_correlation"},
}

_OF = {"best_node_correlation": "mean_node_correlation", "winner_start_rank": "mean_winner_start_rank"}
_CHANCE = "best_node_correlation_by_chance"


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure how much of the teacher the whole student found, so that it can be compared with its gap.

    * ``mean_node_correlation``: the mean over layers of ``best_node_correlation`` of the probe `node_correlation`.
    * ``mean_node_correlation_beyond_chance``: the same minus ``best_node_correlation_by_chance``. A wide layer has more
      nodes among which chance finds one that correlates, so networks of several widths are compared by this one.
    * ``mean_winner_start_rank``: the mean over layers of ``winner_start_rank``. After training this is the paper's mean
      rank of the winners before training.

    Every layer counts alike, however many nodes it has.

    Cost: as `node_correlation`.

    Args:
        context: K networks, their teacher and images; see `ProbeContext`. ``options.samples`` limits the images.

    Returns:
        Float64 ``[K]``, of the whole network. If all nodes of a layer of the teacher are dead, they are not numbers.

    Raises:
        ValueError: If there is no teacher, or if no layer of it fits a layer of the networks.

    Source: Tian et al. (2019), arXiv:1905.13405, for correlations and ranks; the means over layers are ours.
    """
    by_quantity: dict[str, list[torch.Tensor]] = {}
    for one in measure_by_layer(context):
        by_quantity.setdefault(one.quantity, []).append(one.values)
    means = {quantity: torch.stack(by_quantity[quantity]).mean(dim=0) for quantity in (*_OF, _CHANCE)}
    beyond = means["best_node_correlation"] - means[_CHANCE]
    measured = [Measurement(name, means[quantity]) for quantity, name in _OF.items()]
    return [*measured, Measurement("mean_node_correlation_beyond_chance", beyond)]
