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

PART = {
    "summary": "Loss and gradient along a batch's gradient, and internal covariate shift (Santurkar 2018).",
    "options": {
        "draws": {"type": "int", "default": 5, "ge": 1, "meaning": "Training batches that are averaged over."},
        "points": {"type": "int", "default": 10, "ge": 1, "meaning": "Lengths of the steps along the gradient."},
    },
    "quantities": {
        "gradient_step": {
            "label": "step along the gradient",
            "symbol": "a",
            "meaning": (
                "Lengths of the steps along a batch's gradient, as multiples of it, in the order of the "
                "arrays that have a dimension `step`."
            ),
        },
        "loss_along_gradient": {
            "label": "batch loss along the gradient",
            "symbol": "L(\\theta-a g)",
            "meaning": "A training batch's mean loss after a step along its gradient; mean over batches.",
        },
        "gradient_change": {
            "label": "gradient change along the gradient",
            "symbol": "\\|g(\\theta-a g)-g\\|_2",
            "meaning": (
                "Euclidean norm of the change of a training batch's gradient after a step along it; mean over batches."
            ),
        },
        "lowest_loss_along_gradient": {
            "label": "lowest batch loss along the gradient",
            "symbol": "\\min_a L(\\theta-a g)",
            "meaning": (
                "Smallest mean loss of a training batch over steps of 0.01 to 0.4 times its gradient; "
                "mean over batches."
            ),
        },
        "lowest_loss_along_gradient_standard_error": {
            "label": "standard error of the lowest batch loss along the gradient",
            "meaning": "Standard error of `lowest_loss_along_gradient`.",
        },
        "highest_loss_along_gradient": {
            "label": "highest batch loss along the gradient",
            "symbol": "\\max_a L(\\theta-a g)",
            "meaning": (
                "Largest mean loss of a training batch over steps of 0.01 to 0.4 times its gradient; mean over batches."
            ),
        },
        "highest_loss_along_gradient_standard_error": {
            "label": "standard error of the highest batch loss along the gradient",
            "meaning": "Standard error of `highest_loss_along_gradient`.",
        },
        "largest_gradient_change": {
            "label": "largest gradient change along the gradient",
            "symbol": "\\max_a\\|g(\\theta-a g)-g\\|_2",
            "meaning": (
                "Largest change of a training batch's gradient over steps of 0.01 to 0.4 times it; mean over batches."
            ),
        },
        "largest_gradient_change_standard_error": {
            "label": "standard error of the largest gradient change along the gradient",
            "meaning": "Standard error of `largest_gradient_change`.",
        },
        "effective_smoothness": {
            "label": "effective smoothness",
            "symbol": "\\beta",
            "meaning": (
                "Largest ratio of a training batch's gradient change to the length of the step, over "
                "steps of 0.01 to 0.4 times the gradient; mean over batches."
            ),
        },
        "effective_smoothness_standard_error": {
            "label": "standard error of the effective smoothness",
            "meaning": "Standard error of `effective_smoothness`.",
        },
        "covariate_shift": {
            "label": "internal covariate shift",
            "symbol": "\\|G_l-G'_l\\|_F",
            "meaning": (
                "Frobenius norm of the change of a layer's weight gradient when all layers before it take "
                "one gradient step; mean over batches."
            ),
        },
        "covariate_shift_standard_error": {
            "label": "standard error of the internal covariate shift",
            "meaning": "Standard error of `covariate_shift`.",
        },
        "covariate_shift_cosine": {
            "label": "cosine of the internal covariate shift",
            "symbol": "\\cos(G_l,G'_l)",
            "meaning": (
                "Cosine between a layer's weight gradient before and after all layers before it take one "
                "gradient step; mean over batches."
            ),
        },
        "covariate_shift_cosine_standard_error": {
            "label": "standard error of the cosine of the internal covariate shift",
            "meaning": "Standard error of `covariate_shift_cosine`.",
        },
    },
    "picture": {
        "quantity": "effective_smoothness",
        "settings": {"batchnorm": "batch"},
    },
}

SHORTEST, LONGEST = 0.01, 0.4

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
    lengths = np.geomspace(SHORTEST, LONGEST, context.options.points)
    n_samples, draws = len(context.train_images), context.options.draws
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
