"""How the inputs of every ReLU are distributed over a training batch, with the noise of training."""

import functools
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gengap.engine import noise_draws
from gengap.engine.layers import noise
from gengap.engine.layers.noise import NoisyReLU
from gengap.engine.stack import State, network_state
from gengap.probes.batches import drawn_batches
from gengap.probes.context import Measurement, ProbeContext
from gengap.studies.settings import Cell

PART = {
    "summary": "Means, spread and quantiles of what enters every ReLU in a training batch (Santurkar 2018).",
    "options": {
        "nodes": {
            "type": "int",
            "default": 4,
            "ge": 1,
            "meaning": "First nodes of each layer that have quantiles.",
        },
    },
    "quantities": {
        "pre_activation_mean": {
            "label": "size of the mean input of a ReLU",
            "symbol": "\\mathrm{rms}_k\\,\\mu_k",
            "meaning": "Root mean square over a layer's nodes of the mean input of their ReLU over a training batch.",
        },
        "pre_activation_std": {
            "label": "standard deviation of the input of a ReLU",
            "symbol": "\\mathrm{rms}_k\\,\\sigma_k",
            "meaning": "Root mean square over nodes of the standard deviation of their ReLU's input over a batch.",
        },
        "pre_activation_quantiles": {
            "label": "input of a ReLU",
            "meaning": (
                "Quantiles (2.5, 16, 50, 84 and 97.5 %) of the input of one node's ReLU over a training batch; of the "
                "first nodes of each layer."
            ),
        },
    },
    "picture": {"quantity": "pre_activation_mean", "layers": ["relu1", "relu2", "relu"]},
}

LEVELS = (0.025, 0.16, 0.5, 0.84, 0.975)


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure the distribution of every ReLU's input over one training batch, node by node.

    A node is a unit, or a channel with all its positions. The batch has the cell's batch size and is drawn from its
    seed, the same for all its checkpoints. Networks that are trained with noise (``training.noise_std``) get the noise
    of the first step after the checkpoint, so of two checkpoints each has its own draw, as two steps of training have.

    Cost: a forward pass of a batch, in float64.

    Args:
        context: K networks and their data; see `ProbeContext`. All BatchNorm modes are allowed; ``batch`` is that of
            training. ``options.nodes`` (4) is how many nodes of each layer are recorded.

    Returns:
        By the name of the ReLU, float64: ``pre_activation_mean`` and ``pre_activation_std`` ``[K]``, and
        ``pre_activation_quantiles`` ``[K, node, quantile]``.

    Raises:
        ValueError: If the network has no ReLU.

    Source: Santurkar, Tsipras, Ilyas and Madry (2018), arXiv:1805.11604, section 2.1 and figure 2.
    """
    channels, height, width = context.train_images.shape[1:]
    if not any(isinstance(layer, nn.ReLU) for layer in context.network.modules()):
        raise ValueError("the network has no ReLU, so nothing enters one. Leave the probe out")
    mode = context.cells[0].training.noise_mode
    network = noise.noisy(context.network, mode)
    shapes = noise.buffer_shapes(noise.noisy(context.arch.batch, mode), (channels, height, width))
    found: dict[str, list[dict[str, Tensor]]] = {}
    for place, cell in enumerate(context.cells):
        index = torch.from_numpy(drawn_batches(cell, len(context.train_images), 1)[0])
        batch = context.train_images[index.to(context.train_images.device)].double()
        own = network_state(context.state, place)
        state = own | _noise(cell, shapes, context.measured_at[place], len(batch), own[context.arch.parameters[0]])
        for layer, values in _entering(network, {name: value.double() for name, value in state.items()}, batch).items():
            found.setdefault(layer, []).append(_distribution(values, context.options.nodes))
    return [
        Measurement(quantity, torch.stack([one[quantity] for one in parts]), layer, dims)
        for layer, parts in found.items()
        for quantity, dims in (
            ("pre_activation_mean", ()),
            ("pre_activation_std", ()),
            ("pre_activation_quantiles", ("node", "quantile")),
        )
    ]


def _noise(cell: Cell, shapes: Mapping[str, torch.Size], epoch: float, n_samples: int, like: Tensor) -> State:
    """The buffers of one noisy network: zero, or one step's noise, drawn with the precision of training."""
    if cell.training.noise_std == 0:
        return {name: like.new_zeros(()) for name in shapes}
    drawn = next(noise_draws.draws([cell], shapes, epoch, [n_samples], dtype=like.dtype, device=like.device))
    return {name: values[0] for name, values in drawn.items()}


def _entering(network: nn.Module, state: Mapping[str, Tensor], batch: Tensor) -> dict[str, Tensor]:
    """What enters each ReLU of one network, ``[N, nodes, ...]``, by the name of the ReLU, in order of execution."""
    entering: dict[str, Tensor] = {}

    def keep(name: str, relu: NoisyReLU, inputs: tuple[Tensor]) -> None:
        entering[name] = relu.disturbed(inputs[0])

    handles = []
    for name, layer in network.named_modules():
        if isinstance(layer, NoisyReLU):
            handles.append(layer.register_forward_pre_hook(functools.partial(keep, name)))
    try:
        with torch.no_grad():
            functional_call(network, dict(state), (batch,))
    finally:
        for handle in handles:
            handle.remove()
    return entering


def _distribution(values: Tensor, nodes: int) -> dict[str, Tensor]:
    """Of one layer's inputs ``[N, nodes, ...]``."""
    by_node = values.transpose(0, 1).flatten(1)
    levels = torch.tensor(LEVELS, dtype=values.dtype, device=values.device)
    return {
        "pre_activation_mean": by_node.mean(dim=1).square().mean().sqrt().cpu(),
        "pre_activation_std": by_node.var(dim=1, correction=0).mean().sqrt().cpu(),
        "pre_activation_quantiles": by_node[:nodes].quantile(levels, dim=1).T.cpu(),
    }
