"""Losses against closed forms."""

import math

import pytest
import torch

from gengap import losses
from gengap.errors import UserError
from gengap.studies.settings import Loss


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


def test_squared_error_to_a_teacher_equals_a_plain_loop():
    generator = torch.Generator().manual_seed(0)
    outputs, teacher = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    found = losses.sample_losses(Loss(name="distillation"))(outputs, teacher)
    for sample in range(5):
        total = 0.0
        for output in range(3):
            total += (outputs[sample, output].item() - teacher[sample, output].item()) ** 2
        assert found[sample].item() == pytest.approx(total / 3, rel=1e-14)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_softened_distillation_equals_a_plain_loop(temperature):
    generator = torch.Generator().manual_seed(1)
    outputs, teacher = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    found = losses.sample_losses(Loss(name="distillation", temperature=temperature))(outputs, teacher)

    def softened(logits):
        powers = [math.exp(logit / temperature) for logit in logits]
        return [power / sum(powers) for power in powers]

    for sample in range(5):
        ours, theirs = softened(outputs[sample].tolist()), softened(teacher[sample].tolist())
        divergence = sum(p * math.log(p / q) for p, q in zip(theirs, ours, strict=True))
        assert found[sample].item() == pytest.approx(temperature**2 * divergence, rel=1e-12)


def test_softened_distillation_at_a_high_temperature_is_half_the_squared_error_of_centred_outputs():
    """Hinton, Vinyals and Dean (2015), eq. 4: with outputs of mean 0, the gradient tends to (f - t) / n_outputs."""
    generator = torch.Generator().manual_seed(2)
    outputs, teacher = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    outputs, teacher = (logits - logits.mean(dim=1, keepdim=True) for logits in (outputs, teacher))
    soft = losses.sample_losses(Loss(name="distillation", temperature=1e4))(outputs, teacher)
    squared = losses.sample_losses(Loss(name="distillation"))(outputs, teacher)
    torch.testing.assert_close(soft, squared / 2, rtol=1e-3, atol=0)


def test_a_single_softened_output_is_the_logit_of_one_of_two_classes():
    settings = Loss(name="distillation", temperature=2.0)
    output, teacher = torch.tensor([[0.7]], dtype=torch.float64), torch.tensor([[-1.1]], dtype=torch.float64)
    p, q = torch.sigmoid(teacher / 2).item(), torch.sigmoid(output / 2).item()
    expected = 4 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
    assert losses.sample_losses(settings)(output, teacher).item() == pytest.approx(expected, rel=1e-12)


def test_distillation_in_a_stack_with_targets_for_each_network():
    generator = torch.Generator().manual_seed(0)
    outputs, teacher = torch.randn(2, 3, 6, 4, generator=generator)
    for temperature in (None, 3.0):
        function = losses.sample_losses(Loss(name="distillation", temperature=temperature))
        stacked = torch.func.vmap(function)(outputs, teacher)
        torch.testing.assert_close(
            stacked, torch.stack([function(f, t) for f, t in zip(outputs, teacher, strict=True)])
        )


def test_a_teachers_class_is_its_sign_or_its_largest_output():
    correct = losses.correct(Loss(name="distillation"))
    single = correct(torch.tensor([[3.0], [-0.1], [0.2]]), torch.tensor([[0.5], [-9.0], [-0.2]]))
    assert single.tolist() == [True, True, False]
    several = correct(
        torch.tensor([[0.0, 5.0, 1.0], [0.0, 5.0, 1.0]]), torch.tensor([[1.0, 2.0, 0.0], [1.0, 2.0, 3.0]])
    )
    assert several.tolist() == [True, False]
    assert losses.classes(torch.tensor([4, -1])).tolist() == [4, -1]
