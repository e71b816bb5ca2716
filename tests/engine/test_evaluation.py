"""BatchNorm's three modes, and losses over whole sets."""

import pytest
import torch

from gengap.engine import evaluation
from gengap.studies.settings import Loss


def test_exact_statistics_are_each_layers_own_over_the_whole_set(arch, state, images, network_of):
    """Against hooks on the ordinary module: with those statistics, evaluation equals training on the full batch."""
    exact = evaluation.for_mode(arch, state, images, "exact")
    found = evaluation.all_outputs(arch, exact, images, "exact", batch_size=7)
    for place in range(3):
        torch.testing.assert_close(found[place], network_of(place).train()(images), rtol=1e-10, atol=1e-10)


def test_exact_statistics_of_the_first_layer_have_a_closed_form(arch, state, images):
    exact = evaluation.exact_statistics(arch, state, images)
    layer = torch.nn.functional.conv2d(
        images, state["block1.conv1.weight"][1], state["block1.conv1.bias"][1], stride=2, padding=1
    )
    torch.testing.assert_close(exact["block1.bn1.running_mean"][1], layer.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(exact["block1.bn1.running_var"][1], layer.var(dim=(0, 2, 3), correction=0))


def test_running_mode_is_torchs_evaluation_mode(arch, state, images, network_of):
    found = evaluation.all_outputs(arch, evaluation.for_mode(arch, state, images, "running"), images, "running", 16)
    torch.testing.assert_close(found[2], network_of(2).eval()(images), rtol=1e-12, atol=1e-12)


def test_batch_mode_normalises_each_batch_by_itself(arch, state, images, network_of):
    found = evaluation.all_outputs(arch, state, images, "batch", batch_size=25)
    network = network_of(0).train()
    torch.testing.assert_close(found[0], torch.cat([network(images[:25]), network(images[25:])]), rtol=1e-9, atol=1e-9)


def test_how_many_networks_run_at_once_changes_nothing(arch, state, images, monkeypatch):
    whole = evaluation.all_outputs(arch, state, images, "running")
    statistics = evaluation.exact_statistics(arch, state, images)
    monkeypatch.setattr(evaluation, "groups", lambda state, images, batch_size: [state])
    torch.testing.assert_close(evaluation.all_outputs(arch, state, images, "running"), whole)
    for name, value in evaluation.exact_statistics(arch, state, images).items():
        torch.testing.assert_close(value, statistics[name])


def test_performance_counts_by_hand():
    """Outputs 2, 0.5, -1 | targets +, +, +, and -: squared hinge 0, 0.25, 4, 0; 2 of 3 positives right."""
    outputs = torch.tensor([[[2.0], [0.5], [-1.0], [-1.0]]])
    found = evaluation.performance(outputs, torch.tensor([1, 1, 1, -1]), Loss())
    assert found["loss"].item() == pytest.approx(4.25 / 4)
    assert found["accuracy"].item() == pytest.approx(3 / 4)
    assert found["balanced_accuracy"].item() == pytest.approx((2 / 3 + 1) / 2)
    assert found["spread"].item() == pytest.approx(3)


def test_a_network_that_ignores_its_input_has_no_spread():
    outputs = torch.zeros(1, 4, 1)
    found = evaluation.performance(outputs, torch.tensor([1, -1, -1, -1]), Loss())
    assert found["spread"].item() == 0
    assert found["loss"].item() == 1
    assert found["balanced_accuracy"].item() == 0.5
