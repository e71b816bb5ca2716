"""Errors of single samples against a plain loop over them."""

import pytest
import torch
from subjects import by_name, one_network, subject

from gengap.probes import example_errors, performance


@pytest.mark.parametrize("samples", [None, 11])
def test_each_sample_is_right_or_wrong(samples):
    made = subject({"name": "example_errors", "samples": samples}, n_classes=3)
    found = by_name(example_errors.measure(made))
    for place in (0, 1):
        network, expected = one_network(made, place), []
        for image, target in zip(made.train_images[:samples], made.train_targets[:samples].tolist(), strict=True):
            with torch.no_grad():
                expected.append(float(network(image[None])[0].argmax().item() != target))
        assert 0 < sum(expected) < len(expected)
        assert found["example_error", ""][place].tolist() == expected
    torch.testing.assert_close(found["example_error_mean", ""], found["example_error", ""].mean(dim=1))


def test_their_mean_is_one_minus_the_accuracy():
    made = subject({"name": "example_errors"}, {"loss": {"name": "smooth_hinge"}}, n_classes=2)
    accuracy = by_name(performance.measure(made))["train_accuracy", ""]
    torch.testing.assert_close(by_name(example_errors.measure(made))["example_error_mean", ""], 1 - accuracy)
