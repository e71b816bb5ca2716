"""What steps cost by their sizes: in proportions that hold on any machine."""

import pytest

from gengap import models
from gengap.engine import stack
from gengap.studies.settings import Model
from gengap.training import step_cost

SIZES = {"n_networks": 5, "batch_size": 128}


def perceptron(width=200, image_shape=(1, 28, 28)):
    return stack.architecture(models.build(Model(name="mlp", width=width, depth=2), image_shape, 10)), image_shape


def convolutional(width=16):
    return stack.architecture(models.build(Model(width=width), (3, 8, 8), 1)), (3, 8, 8)


def test_a_perceptron_costs_its_weights_whatever_the_shape_of_its_images():
    """An image of 28 x 28 pixels is to it what 784 channels of one pixel are."""
    seconds = [
        step_cost.step_seconds(*perceptron(image_shape=shape), **SIZES, compiled=False)
        for shape in ((1, 28, 28), (784, 1, 1))
    ]
    assert seconds[0] == pytest.approx(seconds[1])


@pytest.mark.parametrize("of", [perceptron, convolutional])
@pytest.mark.parametrize("n_groups", [0, 1])
def test_cost_grows_with_every_size_and_falls_when_compiled(of, n_groups):
    base = step_cost.step_seconds(*of(), **SIZES, n_groups=n_groups, compiled=False)
    assert step_cost.step_seconds(*of(width=400), **SIZES, n_groups=n_groups, compiled=False) > base
    for more in ({"n_networks": 50}, {"batch_size": 1024}):
        assert step_cost.step_seconds(*of(), **SIZES | more, n_groups=n_groups, compiled=False) > base
    assert step_cost.step_seconds(*of(), **SIZES, n_groups=n_groups, compiled=True) < base


def test_weights_of_wide_perceptrons_cost_more_than_their_products_until_they_are_compiled():
    """Batches of 32 of 3.3 million weights: an optimiser's passes through them take three quarters of a step."""
    arch = stack.architecture(models.build(Model(name="mlp", width=4096, depth=1), (1, 28, 28), 10))
    of = {"n_networks": 5, "batch_size": 32}
    eager, compiled = (step_cost.step_seconds(arch, (1, 28, 28), **of, compiled=compiled) for compiled in (False, True))
    assert compiled < 0.5 * eager


@pytest.mark.parametrize("n_groups", [0, 1])
def test_compiling_pays_for_long_jobs_alone(n_groups):
    short, long = (step_cost.pays(*convolutional(), **SIZES, n_steps=n, n_groups=n_groups) for n in (100, 10**6))
    assert (short, long) == (False, True)


def test_a_sparse_step_costs_the_weights_that_are_left():
    def seconds(left, **sizes):
        return step_cost.sparse_step_seconds(*perceptron(), **SIZES | sizes, left=left, compiled=False)

    assert seconds(0.02) < 0.2 * seconds(0.3)
    assert seconds(0.3, n_networks=50) > seconds(0.3)
    assert seconds(0.3) < step_cost.step_seconds(*perceptron(), **SIZES, compiled=False)
    pays = [step_cost.pays_sparse(*perceptron(), **SIZES, left=0.1, n_steps=n) for n in (100, 10**6)]
    assert pays == [False, True]
