"""Norms around nodes against loops over nodes, and theorem 3: they drift by lr^2 a step where BatchNorm follows."""

import pytest
import torch
from subjects import by_name, subject

from gengap import models
from gengap.engine import stack
from gengap.engine.graph.node_weights import node_weights
from gengap.probes import node_norms
from gengap.studies.settings import Model
from gengap.training.cell_result import CellResult
from gengap.training.optimizers import stacked_settings
from gengap.training.pack_state import start
from gengap.training.step import StepInputs, make_step


def architecture(**options):
    return stack.architecture(models.build(Model.model_validate(options), (3, 16, 16), 4))


@pytest.mark.parametrize(
    ("options", "layer", "entering", "leaving"),
    [
        ({"name": "mlp", "depth": 2}, "linear1_relu", ("linear1",), ("linear2",)),
        ({"name": "mlp", "depth": 2, "batchnorm": "after"}, "linear2_relu", ("linear2",), ("output",)),
        ({"name": "plain_conv", "batchnorm": "before"}, "conv4_relu", ("conv4",), ("output",)),
        ({"name": "lenet"}, "conv2_relu", ("conv2",), ("linear1",)),
        ({"name": "vgg", "depth": 11, "width": 2}, "conv8_relu", ("conv8",), ("output",)),
        ({"name": "song"}, "block1.relu2", ("block1.conv2", "block1.shortcut"), ("block2.conv1", "block2.shortcut")),
    ],
)
def test_layers_around_a_node_are_found_past_norms_pools_and_sums(options, layer, entering, leaving):
    around = node_weights(architecture(**options))[layer]
    assert (set(around.entering), set(around.leaving)) == (set(entering), set(leaving))


def test_norms_are_those_of_each_nodes_own_weights():
    made = subject({"name": "node_norms"}, {"model": {"name": "plain_conv", "width": 3, "depth": 2}}, n_classes=4)
    found = by_name(node_norms.measure(made))
    for place in range(2):
        state = {name: value[place] for name, value in made.state.items()}
        for node in range(3):
            row = torch.cat([state["conv2.weight"][node].flatten(), state["conv2.bias"][node][None]])
            assert found["fan_in_norm", "conv2_relu"][place, node].item() == pytest.approx(row.norm().item())
            read = state["conv2.weight"][:, node].norm().item()
            assert found["fan_out_norm", "conv1_relu"][place, node].item() == pytest.approx(read)
            read = state["output.weight"].view(4, 3, -1)[:, node].norm().item()
            assert found["fan_out_norm", "conv2_relu"][place, node].item() == pytest.approx(read)
    before = made.start["conv1.weight"].flatten(2).square().sum(2) + made.start["conv1.bias"].square()
    after = made.state["conv1.weight"].flatten(2).square().sum(2) + made.state["conv1.bias"].square()
    drift = (after / before - 1).abs()
    torch.testing.assert_close(found["fan_in_norm_drift", "conv1_relu"], drift.mean(dim=1))
    torch.testing.assert_close(found["largest_fan_in_norm_drift", "conv1_relu"], drift.amax(dim=1))


@pytest.mark.parametrize("batchnorm", ["before", "after"])
def test_a_step_adds_the_squared_gradient_to_a_norm_before_batchnorm(batchnorm):
    """Theorem 3: the gradient is orthogonal to a filter, up to BatchNorm's eps, and not so without BatchNorm."""
    settings = {
        "model": {"name": "mlp", "width": 6, "batchnorm": batchnorm},
        "optimizer": {"lr": 0.1, "momentum": 0.0},
        "training": {"dtype": "float64", "batch_size": 40},
    }
    for kind in (batchnorm, "none"):
        settings["model"]["batchnorm"] = kind
        made = subject({"name": "node_norms"}, settings, n_classes=3)
        pack = start([CellResult(str(cell.seed), cell, "", 0) for cell in made.cells], made.arch, made.start)
        inputs = StepInputs(
            torch.arange(40).expand(2, -1), stacked_settings(made.cells, dtype=torch.float64, device="cpu"), {}, {}
        )
        images = 10 * made.train_images
        after, _ = make_step(made.arch, made.cells[0])(pack.networks, images, made.train_targets, inputs)

        def squares(state):
            return state["linear1.weight"].square().sum(2) + state["linear1.bias"].square()

        moved = {name: after.parameters[name] - made.start[name] for name in ("linear1.weight", "linear1.bias")}
        added = squares(after.parameters) - squares(made.start)
        assert squares(moved).max() > 1e-6
        ratio = (added - squares(moved)).abs().max() / squares(moved).max()
        assert ratio < 1e-3 if kind != "none" else ratio > 0.1


def test_a_network_without_a_graph_is_refused():
    class Branching(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.relu = torch.nn.Linear(3, 3), torch.nn.ReLU()

        def forward(self, x):
            return self.relu(self.layer(x)) if x.sum() > 0 else x

    with pytest.raises(ValueError, match="no graph on which to find the weights around a node"):
        node_weights(stack.architecture(Branching()))
