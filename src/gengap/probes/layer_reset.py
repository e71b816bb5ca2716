"""Are all layers equal? Test error when one layer goes back to an earlier checkpoint, or is redrawn."""

import torch
from torch import Tensor

from gengap import seeding
from gengap.engine import evaluation
from gengap.engine.evaluation import initialization
from gengap.engine.graph.network_graph import Parts, layer_parts
from gengap.engine.groups import groups
from gengap.engine.stack import State, concatenate
from gengap.probes.averages import averaged, mean
from gengap.probes.context import BATCH_SIZE, Measurement, ProbeContext

PART = {
    "summary": "Test error when one layer goes back to an earlier checkpoint, or is redrawn (Zhang 2019).",
    "reads": ("samples",),
    "options": {
        "draws": {"type": "int", "default": 3, "ge": 1, "meaning": "Fresh draws of a layer that are averaged over."},
    },
    "quantities": {
        "test_error_after_reset": {
            "label": "test error after the reset of a layer",
            "symbol": "E_l(t)",
            "unit": "%",
            "meaning": (
                "Share of test samples classified wrongly once one layer has its weights of an earlier "
                "epoch again; nothing is trained."
            ),
        },
        "train_loss_after_reset": {
            "label": "train loss after the reset of a layer",
            "symbol": "L_l(t)",
            "meaning": (
                "Mean training loss once one layer has its weights of an earlier epoch again; nothing is trained."
            ),
        },
        "reset_epoch": {
            "label": "epoch of the reset",
            "symbol": "t",
            "unit": "epochs",
            "meaning": ("Epochs to which layers are reset, in the order of the arrays that have a dimension `epoch`."),
        },
        "test_error_after_rerandomization": {
            "label": "test error with a layer redrawn",
            "symbol": "E_l(\\mathrm{new})",
            "unit": "%",
            "meaning": (
                "Share of test samples classified wrongly once one layer is redrawn by the cell's "
                "own init; nothing is trained."
            ),
        },
        "test_error_after_rerandomization_standard_error": {
            "label": "standard error of the test error with a layer redrawn",
            "unit": "%",
            "meaning": "Standard error of `test_error_after_rerandomization` over the draws.",
        },
        "train_loss_after_rerandomization": {
            "label": "train loss with a layer redrawn",
            "symbol": "L_l(\\mathrm{new})",
            "meaning": ("Mean training loss once one layer is redrawn by the cell's own init; nothing is trained."),
        },
        "train_loss_after_rerandomization_standard_error": {
            "label": "standard error of the train loss with a layer redrawn",
            "meaning": "Standard error of `train_loss_after_rerandomization` over the draws.",
        },
        "error_rise_after_reset": {
            "label": "rise in test error after a layer's reset to the start",
            "symbol": "\\langle E_l(0)\\rangle_l-E",
            "unit": "%",
            "meaning": (
                "Mean over layers of the test error after that layer's reset to epoch 0, minus the "
                "network's own test error: small for a robust network."
            ),
        },
        "error_rise_after_rerandomization": {
            "label": "rise in test error with a layer redrawn",
            "symbol": "\\langle E_l(\\mathrm{new})\\rangle_l-E",
            "unit": "%",
            "meaning": (
                "Mean over layers of the test error with that layer redrawn, minus the network's own test error."
            ),
        },
        "error_rise_after_rerandomization_standard_error": {
            "label": "standard error of the rise in test error with a layer redrawn",
            "unit": "%",
            "meaning": "Standard error of `error_rise_after_rerandomization` over the draws.",
        },
    },
    "picture": {
        "quantity": "test_error_after_reset",
        "along": "reset_epoch",
        "settings": {"epochs": "last", "samples": 2000},
    },
}

BUDGET = 250_000_000  # weights that one stack of reset networks may hold: 1 GB in float32


def measure(context: ProbeContext) -> list[Measurement]:
    """Reset one layer at a time, train nothing, and measure the network that results.

    With theta the measured weights, theta_l those of layer l, and E the test error,

    * re-initialisation to epoch t: ``E_l(t) = E(theta with theta_l <- theta_l(t))``;
    * re-randomisation: ``E_l(new) = E(theta with theta_l <- a fresh draw)`` from the cell's own init;
    * the rise ``1/n_layers sum_l E_l(0) - E(theta)``, small for a robust network, and the same for fresh draws.

    A layer is its weight tensor and bias with the BatchNorm that normalises its output (`network_graph.layer_parts`),
    so that resetting all layers would give the old network. In mode ``exact`` every layer's statistics are computed
    again for each reset network, on the whole training set; in mode ``running`` the layer's running averages of that
    epoch go back with it (mean 0 and variance 1 for a fresh draw); in mode ``batch`` each run of 1,000 images has
    its own. The checkpoints are those that all cells of the pack have; later ones than the measured one are left out,
    as not a number.

    Cost: epochs x layers networks are evaluated on both sets, and in mode ``exact`` once more for the statistics; so
    measure at ``epochs: last``.

    Args:
        context: K networks and their data; see `ProbeContext`. ``options.samples`` limits the training images of the
            loss; ``options.draws`` (3) is the number of fresh draws, whose seeds come from the cell.

    Returns:
        float64: ``reset_epoch`` ``[K, epochs]``; by layer ``test_error_after_reset`` and ``train_loss_after_reset``
        ``[K, epochs]``; means over the draws, each ``[K]`` and with its ``_standard_error`` (from two draws on): by
        layer ``test_error_after_rerandomization`` and ``train_loss_after_rerandomization``, and
        ``error_rise_after_rerandomization``; ``error_rise_after_reset`` ``[K]``. Errors are fractions.

    Source: Zhang, Bengio and Singer (2019), arXiv:1902.01996, sections 2 and 3.
    """
    parts = layer_parts(context.arch, tuple(context.train_images.shape[1:]))
    own_error, _ = _performance(context, context.state)
    n_draws = context.options.draws
    earlier = [epoch for epoch in context.epochs if epoch <= max(context.measured_at)]
    reset = [_after_reset(context, parts, context.saved(epoch)) for epoch in earlier]
    redrawn = [_after_reset(context, parts, fresh(context, draw)) for draw in range(n_draws)]
    errors, losses = (
        _only_earlier(context, torch.stack(performances, dim=2)) for performances in zip(*reset, strict=True)
    )
    new_errors, new_losses = (
        torch.stack(performances, dim=2) for performances in zip(*redrawn, strict=True)
    )  # [layers, K, draws]

    epochs = torch.tensor(context.epochs, dtype=torch.float64).expand(len(context.cells), -1)
    measured = [Measurement("reset_epoch", epochs, dims=("epoch",))]
    for place, layer in enumerate(parts):
        measured += [
            Measurement("test_error_after_reset", errors[place], layer, ("epoch",)),
            Measurement("train_loss_after_reset", losses[place], layer, ("epoch",)),
            *averaged("test_error_after_rerandomization", new_errors[place], layer),
            *averaged("train_loss_after_rerandomization", new_losses[place], layer),
        ]
    measured.append(Measurement("error_rise_after_reset", mean(errors[:, :, 0], 0) - own_error))
    measured += averaged("error_rise_after_rerandomization", mean(new_errors, 0) - own_error[:, None])
    return measured


def with_layer(state: State, other: State, tensors: tuple[str, ...]) -> State:
    """The state whose `tensors` are those of the other."""
    return {**state, **{name: other[name] for name in tensors}}


def _after_reset(context: ProbeContext, parts: Parts, other: State) -> tuple[Tensor, Tensor]:
    """Test error and train loss with each layer in turn taken from the other networks, ``[layers, K]`` each."""
    at_once = max(1, BUDGET // (len(context.cells) * context.arch.n_parameters))
    performances = []
    for at in range(0, len(parts), at_once):
        some = [with_layer(context.state, other, tensors) for tensors in list(parts.values())[at : at + at_once]]
        performances.append(_performance(context, concatenate(some)))
    errors, losses = (torch.cat(each).view(len(parts), -1) for each in zip(*performances, strict=True))
    return errors, losses


def _performance(context: ProbeContext, state: State) -> tuple[Tensor, Tensor]:
    """Test error and train loss of every network of a stack."""
    errors, losses = [], []
    # On a CPU one by one: how many are evaluated together can change the last bits.
    for part in groups(state, context.train_images, BATCH_SIZE):
        part = evaluation.for_mode(context.arch, part, context.train_images, context.batchnorm)
        errors.append(1 - _evaluated(context, part, context.test_images, context.test_targets)["accuracy"])
        losses.append(_evaluated(context, part, *context.probe_images())["loss"])
    return torch.cat(errors), torch.cat(losses)


def _evaluated(context: ProbeContext, state: State, images: Tensor, targets: Tensor) -> State:
    outputs = evaluation.all_outputs(context.arch, state, images, context.batchnorm, BATCH_SIZE)
    return evaluation.performance(outputs, targets, context.loss)


def _only_earlier(context: ProbeContext, values: Tensor) -> Tensor:
    """``[layers, K, earlier epochs]`` with a column for every epoch, and not a number where it is a later one."""
    epochs = torch.tensor(context.epochs, device=values.device)
    later = epochs > torch.tensor(context.measured_at, device=values.device)[:, None]
    padded = torch.nn.functional.pad(values, (0, len(epochs) - values.shape[2]), value=torch.nan)
    return padded.masked_fill(later, torch.nan)


def fresh(context: ProbeContext, draw: int) -> State:
    """Each cell's network as its own init draws it from another seed, which the cell's seed and `draw` determine."""
    cells = [
        cell.model_copy(update={"seed": seeding.torch_seed(cell.seed, seeding.PROBE, draw)}) for cell in context.cells
    ]
    channels, height, width = context.train_images.shape[1:]
    n_outputs = context.arch.evaluation(torch.zeros(1, channels, height, width, device="meta")).shape[1]
    return initialization.start(context.arch, cells, context.train_images, context.train_targets, n_outputs)
