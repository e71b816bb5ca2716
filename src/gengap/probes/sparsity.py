"""How many weights a pruned network has left."""

import torch

from gengap.probes.context import Measurement, ProbeContext

PART = {
    "summary": "Share of the weights that are not zero, of the network and of each layer.",
    "weights_only": True,
    "quantities": {
        "weights_left": {
            "label": "weights left",
            "unit": "%",
            "meaning": "Share of the weights of convolutions and linear layers that are not exactly zero.",
        },
    },
    "picture": {
        "quantity": "weights_left",
    },
}


def measure(context: ProbeContext) -> list[Measurement]:
    r"""Share of the weights of convolutions and linear layers that are not exactly zero: `weights_left`.

    Of the whole network and of every layer. Biases, and the scales and shifts of BatchNorm, are not counted: they are
    never pruned. A network that is not pruned has 100 %.

    Cost: one look at the weights.

    Source: Frankle and Carbin (2019), The lottery ticket hypothesis, $P_m$.
    """
    names = [name for name in (f"{layer}.weight" for layer in context.arch.layers) if name in context.arch.parameters]
    left = {name: (context.state[name] != 0).flatten(1).sum(dim=1).double() for name in names}
    sizes = {name: context.state[name][0].numel() for name in names}
    found = [
        Measurement("weights_left", left[name] / sizes[name], layer=name.removesuffix(".weight")) for name in names
    ]
    return [Measurement("weights_left", torch.stack(list(left.values())).sum(dim=0) / sum(sizes.values())), *found]
