"""Resets of layers against the saved networks themselves, and against networks put together by hand."""

import dataclasses

import pytest
import subjects
import torch

from gengap import inits, losses, models, registry, seeding
from gengap.engine import evaluation
from gengap.engine.graph.network_graph import layer_parts
from gengap.engine.stack import take
from gengap.probes import layer_reset
from gengap.probes.context import BATCH_SIZE
from gengap.studies.settings import Init

MODES = ["running", "batch", "exact"]


def performance(made, state):
    """Test error and train loss of a stack's networks, evaluated one by one, statistics those of the mode."""
    found = {"test": [], "train": []}
    for place in range(len(made.cells)):
        one = evaluation.for_mode(made.arch, take(state, [place]), made.train_images, made.batchnorm)
        for split, images, targets in (
            ("test", made.test_images, made.test_targets),
            ("train", made.train_images, made.train_targets),
        ):
            outputs = evaluation.all_outputs(made.arch, one, images, made.batchnorm, BATCH_SIZE)
            found[split].append(evaluation.performance(outputs, targets, made.loss))
    return [1 - one["accuracy"].item() for one in found["test"]], [one["loss"].item() for one in found["train"]]


@pytest.mark.parametrize(
    "batchnorm", ["running", *(pytest.param(mode, marks=pytest.mark.thorough) for mode in MODES[1:])]
)
@pytest.mark.parametrize("name", sorted(registry.REGISTRY["model"]))
def test_all_layers_reset_are_the_old_network(name, batchnorm):
    """Bit by bit, in every mode and for every model: no tensor is left behind."""
    shape = (3, 32, 32)
    made = subjects.subject(
        {"name": "layer_reset", "batchnorm": batchnorm},
        {"model": {"name": name, "width": 2}},
        shape=shape,
        n_train=6,
        n_test=4,
    )
    state = made.state
    for tensors in layer_parts(made.arch, shape).values():
        state = layer_reset.with_layer(state, made.saved(1.0), tensors)
    assert performance(made, state) == performance(made, made.saved(1.0))
    assert performance(made, state) != performance(made, made.state)


@pytest.mark.parametrize("batchnorm", MODES)
def test_a_reset_to_the_measured_checkpoint_changes_nothing(batchnorm):
    made = subjects.subject({"name": "layer_reset", "batchnorm": batchnorm})
    found = subjects.by_name(layer_reset.measure(made))
    error, loss = performance(made, made.saved(2.0))
    for layer in made.arch.layers:
        assert found["test_error_after_reset", layer][:, 2].tolist() == error
        assert found["train_loss_after_reset", layer][:, 2].tolist() == loss
    assert found["reset_epoch", ""].tolist() == [[0, 1, 2]] * 2


def by_hand(made, place, parts, state):
    """Test error and loss on the first 25 training images of an ordinary module with these modules' tensors."""
    network = subjects.one_network(made, place)
    for part in parts:
        own = {name.removeprefix(f"{part}."): v for name, v in state.items() if name.startswith(f"{part}.")}
        network.get_submodule(part).load_state_dict(own, strict=False)
    with torch.no_grad():
        wrong = (network(made.test_images)[:, 0] > 0) != (made.test_targets > 0)
        loss = losses.sample_losses(made.loss)(network(made.train_images[:25]), made.train_targets[:25]).mean()
    return wrong.double().mean().item(), loss.item()


LAYERS = [("block2.conv1", "block2.bn1"), ("hidden.linear", "hidden.bn"), ("output",)]


@pytest.mark.parametrize("batchnorm", ["running", "batch"])
@pytest.mark.parametrize(
    "parts",
    [LAYERS[0], *(pytest.param(parts, marks=pytest.mark.thorough) for parts in LAYERS[1:])],
    ids=lambda parts: parts[0],
)
def test_one_reset_by_hand(batchnorm, parts):
    made = subjects.subject({"name": "layer_reset", "batchnorm": batchnorm, "samples": 25})
    found = subjects.by_name(layer_reset.measure(made))
    for place in range(2):
        for column, epoch in enumerate(made.epochs):
            saved = {name: value[place] for name, value in made.saved(epoch).items()}
            error, loss = by_hand(made, place, parts, saved)
            assert found["test_error_after_reset", parts[0]][place, column].item() == pytest.approx(error)
            assert found["train_loss_after_reset", parts[0]][place, column].item() == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("batchnorm", ["running", "batch"])
def test_fresh_draws_by_hand(batchnorm):
    """Each draw is the cell's own init from another seed, which depends only on the cell's seed and the draw."""
    made = subjects.subject(
        {"name": "layer_reset", "batchnorm": batchnorm, "samples": 25, "draws": 2}, {"init": {"name": "xavier"}}
    )
    found = subjects.by_name(layer_reset.measure(made))
    for place, cell in enumerate(made.cells):
        expected = {parts: [] for parts in LAYERS}
        for draw in range(2):
            seed = seeding.torch_seed(seeding.torch_seed(cell.seed, seeding.PROBE, draw), seeding.INIT)
            network = models.build(cell.model, (3, 8, 8), 1)
            inits.initialise(network, Init(name="xavier"), torch.Generator().manual_seed(seed))
            for parts, values in expected.items():
                values.append(by_hand(made, place, parts, network.state_dict()))
        for parts, values in expected.items():
            errors, train_losses = zip(*values, strict=True)
            error = found["test_error_after_rerandomization", parts[0]][place].item()
            loss = found["train_loss_after_rerandomization", parts[0]][place].item()
            assert error == pytest.approx(sum(errors) / 2)
            assert loss == pytest.approx(sum(train_losses) / 2, rel=1e-6)  # the draws are float32 numbers


def test_the_standard_error_is_that_of_the_draws():
    """Three draws measured one by one: their mean over layers gives the rise and its standard error."""
    made = subjects.subject({"name": "layer_reset", "draws": 3}, n_test=200)
    found = subjects.by_name(layer_reset.measure(made))
    own, _ = performance(made, made.state)
    parts = layer_parts(made.arch, subjects.SHAPE).values()
    rises = []
    for draw in range(3):
        fresh = layer_reset.fresh(made, draw)
        errors = [performance(made, layer_reset.with_layer(made.state, fresh, tensors))[0] for tensors in parts]
        rises.append(torch.tensor(errors, dtype=torch.float64).mean(dim=0) - torch.tensor(own, dtype=torch.float64))
    rises = torch.stack(rises)
    assert rises.std(dim=0).min() > 0
    torch.testing.assert_close(found["error_rise_after_rerandomization", ""], rises.mean(dim=0))
    error = found["error_rise_after_rerandomization_standard_error", ""]
    torch.testing.assert_close(error, rises.std(dim=0) / 3**0.5)


def test_the_pack_changes_no_bit():
    made = subjects.subject({"name": "layer_reset"})
    alone = dataclasses.replace(
        made,
        state={name: value[1:] for name, value in made.state.items()},
        saved=lambda epoch: {name: value[1:] for name, value in made.saved(epoch).items()},
        cells=made.cells[1:],
        measured_at=made.measured_at[1:],
    )
    for together, single in zip(layer_reset.measure(made), layer_reset.measure(alone), strict=True):
        assert together.values[1:].tolist() == single.values.tolist(), together.quantity


def test_later_checkpoints_are_left_out():
    made = subjects.subject({"name": "layer_reset", "draws": 1})
    early = dataclasses.replace(made, state=made.saved(1.0), measured_at=(1.0, 2.0))
    found = subjects.by_name(layer_reset.measure(early))
    for quantity in ("test_error_after_reset", "train_loss_after_reset"):
        assert found[quantity, "output"].isnan().tolist() == [[False, False, True], [False, False, False]]


@pytest.mark.thorough
@pytest.mark.parametrize("budget", [1, 3 * 2 * 300])
def test_how_many_networks_go_together_changes_no_bit(monkeypatch, budget):
    made = subjects.subject({"name": "layer_reset", "draws": 1})
    whole = layer_reset.measure(made)
    monkeypatch.setattr(layer_reset, "BUDGET", budget)
    for one, other in zip(whole, layer_reset.measure(made), strict=True):
        assert one.values.tolist() == other.values.tolist()


def test_the_rise_is_the_mean_over_layers():
    made = subjects.subject({"name": "layer_reset", "draws": 1})
    found = subjects.by_name(layer_reset.measure(made))
    own, _ = performance(made, made.saved(2.0))
    resets = torch.stack([found["test_error_after_reset", layer][:, 0] for layer in made.arch.layers])
    expected = resets.mean(dim=0) - torch.tensor(own, dtype=torch.float64)
    torch.testing.assert_close(found["error_rise_after_reset", ""], expected, rtol=1e-12, atol=1e-15)
    assert expected.abs().max() > 0
    assert ("error_rise_after_rerandomization_standard_error", "") not in found
