"""Which measures a rescaling changes that leaves the function alone, as their headers say."""

import dataclasses

import pytest
import torch
from subjects import subject

from gengap import registry
from gengap.engine import stack

FACTOR = 64.0  # a power of two, so that no digit is lost
PROBES = [
    name
    for name, entry in registry.REGISTRY["probe"].items()
    if any(quantity.rescaling_invariant is not None for quantity in entry.quantities.values())
]


def rescaled(made):
    """The same networks with the first hidden layer multiplied by a factor, and the next one divided by it."""
    factors = {"linear1.weight": FACTOR, "linear1.bias": FACTOR, "linear2.weight": 1 / FACTOR}
    state = {name: value * factors.get(name, 1.0) for name, value in made.state.items()}
    return dataclasses.replace(made, state=state)


@pytest.mark.parametrize("name", PROBES)
def test_headers_say_what_a_rescaling_changes(name):
    settings = {"model": {"name": "mlp", "width": 6, "depth": 2}, "training": {"batch_size": 8}}
    options = {"samples": 40} if "samples" in registry.check("probe", name).reads else {}
    small = {"perturbation": {"depth": 12, "steps": 3}, "sharpness": {"draws": 1, "iterations": 1}}
    mode = registry.check("probe", name).batchnorm[-1]
    made = subject(
        {"name": name, "batchnorm": mode, **options, **small.get(name, {})},
        settings,
        seeds=(0,),
        n_classes=3,
        shape=(1, 4, 4),
    )
    # A network that is mostly right: a margin above 0, and accuracy that perturbations can cost.
    outputs = stack.outputs(made.arch.evaluation, made.state, made.train_images)[0]
    made = dataclasses.replace(made, train_targets=outputs.argmax(dim=1))
    measure = registry.load("probe", name).measure
    before, after = ({one.quantity: one.values for one in measure(each)} for each in (made, rescaled(made)))
    for quantity, declared in registry.check("probe", name).quantities.items():
        if declared.rescaling_invariant is not None:
            same = torch.allclose(before[quantity], after[quantity], rtol=1e-6, atol=1e-9)
            assert before[quantity].isfinite().all(), quantity
            assert same == declared.rescaling_invariant, (quantity, before[quantity], after[quantity])
