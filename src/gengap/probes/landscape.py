"""The loss along a batch's gradient, how fast the gradient turns there, and internal covariate shift."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import grad, grad_and_value, vmap

from gengap import losses
from gengap.engine.graph.network_graph import Parts, layer_parts
from gengap.engine.groups import groups
from gengap.engine.stack import State, concatenate, outputs_and_buffers, stacked
from gengap.probes.averages import averaged
from gengap.probes.batches import drawn_batches
from gengap.probes.context import Measurement, ProbeContext

SHORTEST, LONGEST, POINTS = 0.01, 0.4, 10
DRAWS = 5

Quantities = dict[tuple[str, str], Tensor]  # by quantity and layer


def measure(context: ProbeContext) -> list[Measurement]:
    """Follow the gradient of one training batch, with weights and batch held fixed.

    With L the batch's mean loss, g its gradient over all parameters at theta, and steps ``s = -a g`` for ten lengths
    a in geometric progression from 0.01 to 0.4,

    * loss range: smallest and largest ``L(theta + s)`` over the steps;
    * gradient change: ``||g(theta + s) - g(theta)||_2``, its largest value over the steps, and the whole curve;
    * effective beta-smoothness: ``max_s ||g(theta + s) - g(theta)||_2 / ||s||_2``.

    Internal covariate shift of layer l: ``||G_l - G'_l||_F`` and the cosine of the two, where G_l is the gradient
    with respect to the layer's weight tensor, and G'_l the same after all layers that run before l (with their
    biases and BatchNorm) took one step ``-lr g`` with the cell's initial learning rate. 0 and 1 in the first layer.

    All BatchNorm modes are allowed. In mode ``batch`` the gradient flows through the batch's statistics, which follow
    every step, as in training and in the source; in ``running`` and ``exact`` they are constants of the checkpoint,
    and the landscape is that of the network as it is evaluated.

    Cost: per batch about 11 gradients of a batch, and one for every layer. In float64: differences of gradients at
    neighbouring points lose digits.

    Args:
        context: K networks and their data; see `ProbeContext`. ``options.draws`` (5) is the number of batches, of the
            cell's batch size and drawn from its seed; ``options.points`` (10) the number of step lengths.

    Returns:
        float64, means over the batches, each ``[K]`` and with its ``_standard_error`` (from two batches on):
        ``lowest_loss_along_gradient``, ``highest_loss_along_gradient``, ``largest_gradient_change``,
        ``effective_smoothness``; by layer ``covariate_shift`` and ``covariate_shift_cosine`` (not a number where a
        gradient is 0). Means over the batches as arrays ``[K, step]``: ``gradient_step`` (the lengths a),
        ``loss_along_gradient``, ``gradient_change``.

    Source: Santurkar, Tsipras, Ilyas and Madry (2018), arXiv:1805.11604, section 3.1, figure 4, and definition 2.1.
    """
    lengths = np.geomspace(SHORTEST, LONGEST, context.options.points or POINTS)
    n_samples, draws = len(context.train_images), context.options.draws or DRAWS
    batches = np.stack([drawn_batches(cell, n_samples, draws) for cell in context.cells])
    parts = layer_parts(context.arch, tuple(context.train_images.shape[1:]))
    on_one_batch = vmap(_on_one_batch(context, parts, lengths.tolist()))
    by_draw = [_over_the_stack(context, on_one_batch, batches[:, draw]) for draw in range(batches.shape[1])]
    by_quantity = stacked(by_draw, dim=1)  # [K, draws, ...]

    steps = torch.from_numpy(lengths).expand(len(context.cells), -1)
    measured = [Measurement("gradient_step", steps, dims=("step",))]
    for (quantity, layer), values in by_quantity.items():
        measured += averaged(quantity, values, layer, ("step",) if values.dim() == 3 else ())
    return measured


def _over_the_stack(
    context: ProbeContext, on_one_batch: Callable[..., Quantities], index: NDArray[np.int64]
) -> Quantities:
    """Each network on its own batch ``index[k]``; every value ``[K, ...]``."""
    parts, first = [], 0
    for part in groups(context.state, context.train_images, index.shape[1]):
        state = {name: value.detach().double() for name, value in part.items()}
        here = slice(first, first := first + len(state[context.arch.parameters[0]]))
        chosen = torch.from_numpy(index[here]).to(context.train_images.device)
        lr = [cell.optimizer.lr for cell in context.cells[here]]
        parts.append(
            on_one_batch(
                {name: state[name] for name in context.arch.parameters},
                {name: state[name] for name in context.arch.buffers},
                context.train_images[chosen].double(),
                context.train_targets[chosen],
                torch.tensor(lr, dtype=torch.float64, device=chosen.device),
            )
        )
    return concatenate(parts)


def _on_one_batch(context: ProbeContext, parts: Parts, lengths: Sequence[float]) -> Callable[..., Quantities]:
    """All quantities as a function of ONE network, its batch and its learning rate, to be mapped over a stack."""
    sample_losses = losses.sample_losses(context.loss)

    def mean_loss(parameters: State, buffers: State, x: Tensor, y: Tensor) -> Tensor:
        outputs, _ = outputs_and_buffers(context.arch, context.network, {**parameters, **buffers}, x)
        return sample_losses(outputs, y).mean()

    def loss_of(own: Tensor, name: str, parameters: State, buffers: State, x: Tensor, y: Tensor) -> Tensor:
        return mean_loss({**parameters, name: own}, buffers, x, y)

    def run(parameters: State, buffers: State, x: Tensor, y: Tensor, lr: Tensor) -> Quantities:
        gradient = grad(mean_loss)(parameters, buffers, x, y)
        length = _norm(gradient.values())
        curve, changes, ratios = [], [], []
        for a in lengths:
            there, loss = grad_and_value(mean_loss)(_moved(parameters, gradient, a), buffers, x, y)
            curve.append(loss)
            changes.append(_norm(there[name] - gradient[name] for name in gradient))
            ratios.append(changes[-1] / (a * length))
        quantities = {
            ("loss_along_gradient", ""): torch.stack(curve),
            ("gradient_change", ""): torch.stack(changes),
            ("lowest_loss_along_gradient", ""): torch.stack(curve).amin(),
            ("highest_loss_along_gradient", ""): torch.stack(curve).amax(),
            ("largest_gradient_change", ""): torch.stack(changes).amax(),
            ("effective_smoothness", ""): torch.stack(ratios).amax(),
        }
        before: State = {}  # the layers that ran earlier, each one step on
        for layer, tensors in parts.items():
            weight = f"{layer}.weight"
            after = grad(loss_of)(parameters[weight], weight, {**parameters, **before}, buffers, x, y)
            quantities["covariate_shift", layer] = (after - gradient[weight]).norm()
            quantities["covariate_shift_cosine", layer] = (after * gradient[weight]).sum() / (
                after.norm() * gradient[weight].norm()
            )
            own = {name: parameters[name] for name in tensors if name in parameters}
            before |= _moved(own, gradient, lr)
        return quantities

    return run


def _moved(parameters: State, gradient: State, length: float | Tensor) -> State:
    return {name: value - length * gradient[name] for name, value in parameters.items()}


def _norm(tensors: Iterable[Tensor]) -> Tensor:
    return torch.stack([tensor.square().sum() for tensor in tensors]).sum().sqrt()
