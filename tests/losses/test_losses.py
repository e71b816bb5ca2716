"""Losses against closed forms."""

import math

import pytest
import torch

from gengap import losses
from gengap.errors import UserError
from gengap.settings import Loss


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_smooth_hinge(power):
    margins = torch.tensor([-2.0, 0.0, 0.5, 1.0, 7.0])
    found = losses.sample_losses(Loss(power=power))(margins[:, None], torch.ones(5))
    assert found.tolist() == pytest.approx([3**power, 1, 0.5**power, 0, 0])
    mirrored = losses.sample_losses(Loss(power=power))(-margins[:, None], -torch.ones(5))
    assert torch.equal(found, mirrored)


def test_logistic_loss_is_cross_entropy_of_two_logits():
    settings = Loss(name="cross_entropy")
    single = losses.sample_losses(settings)(torch.tensor([[0.7], [-0.3]]), torch.tensor([1, -1]))
    double = losses.sample_losses(settings)(torch.tensor([[0.0, 0.7], [0.0, -0.3]]), torch.tensor([1, 0]))
    torch.testing.assert_close(single, double)
    assert single[0].item() == pytest.approx(math.log(1 + math.exp(-0.7)))


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_classes():
    found = losses.sample_losses(Loss(name="cross_entropy"))(torch.zeros(1, 10), torch.tensor([3]))
    assert found.item() == pytest.approx(math.log(10))


def test_squared_error_equals_torchs_against_one_hot_targets():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    targets = torch.tensor([0, 3, 1, 1, 2, 0])
    found = losses.sample_losses(Loss(name="squared"))(outputs, targets)
    one_hot = torch.nn.functional.one_hot(targets, 4).double()
    torch.testing.assert_close(found.mean(), torch.nn.functional.mse_loss(outputs, one_hot), rtol=1e-14, atol=0)
    each = torch.nn.functional.mse_loss(outputs, one_hot, reduction="none").mean(dim=1)
    torch.testing.assert_close(found, each, rtol=1e-14, atol=0)


def test_squared_error_of_a_single_output_is_to_minus_and_plus_one():
    outputs, targets = torch.tensor([[0.5], [0.5], [-3.0]], dtype=torch.float64), torch.tensor([1, -1, -1])
    found = losses.sample_losses(Loss(name="squared"))(outputs, targets)
    assert found.tolist() == [0.25, 2.25, 4.0]
    correct = losses.correct(Loss(name="squared"))(outputs, targets)
    assert correct.tolist() == [True, False, True]


def test_squared_error_in_a_stack_is_each_networks_own():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 6, 4, generator=generator, dtype=torch.float64)
    targets = torch.tensor([0, 3, 1, 1, 2, 0])
    function = losses.sample_losses(Loss(name="squared"))
    stacked = torch.func.vmap(function, in_dims=(0, None))(outputs, targets)
    torch.testing.assert_close(stacked, torch.stack([function(one, targets) for one in outputs]))


def test_an_output_of_exactly_zero_counts_as_negative():
    assert losses.correct_sign(torch.zeros(2, 1), torch.tensor([-1, 1])).tolist() == [True, False]


def test_class_indices_become_signs_for_a_single_output():
    assert losses.targets(torch.tensor([0, 1, 1]), 1).tolist() == [-1, 1, 1]
    assert losses.targets(torch.tensor([-1, 1]), 1).tolist() == [-1, 1]
    assert losses.targets(torch.tensor([0, 2]), 3).tolist() == [0, 2]


def test_hinge_needs_two_classes():
    assert losses.n_outputs(Loss(name="cross_entropy"), 10) == 10
    with pytest.raises(UserError, match=r"smooth_hinge.*two classes.*have 10"):
        losses.n_outputs(Loss(), 10)
