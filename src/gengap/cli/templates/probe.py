"""The largest weight of every network: replace this by one sentence on what NAME says of a network."""

import torch
from torch import Tensor

from gengap.probes.context import Measurement, ProbeContext

PART = {
    "summary": "Largest absolute weight.",
    "quantities": {
        "NAME": {
            "label": "largest weight",
            "symbol": "\\max_i |\\theta_i|",
            "meaning": "Largest absolute value of all parameters.",
        },
    },
    "picture": {"quantity": "NAME"},
}


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure the largest absolute parameter of each network, ``max_i |theta_i|``.

    Args:
        context: K networks and their data; see `ProbeContext`.

    Returns:
        ``NAME``: ``[K]``, float64.

    Cost: none to speak of.

    Source: paper, section and equation.
    """
    parameters = {name: context.state[name] for name in context.arch.parameters}
    return [Measurement("NAME", largest(parameters))]


def largest(parameters: dict[str, Tensor]) -> Tensor:
    """The largest absolute value in each network's parameters, stacked ``[K, ...]``; float64 ``[K]``."""
    return torch.cat([value.flatten(1) for value in parameters.values()], dim=1).abs().amax(dim=1).double()
