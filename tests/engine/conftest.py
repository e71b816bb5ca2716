import pytest
import torch

from gengap import models
from gengap.engine import stack
from gengap.studies.settings import Cell, Model


@pytest.fixture
def cells():
    return [Cell.model_validate({"model": {"width": 3}, "seed": seed}) for seed in (0, 1, 5)]


@pytest.fixture
def arch():
    return stack.architecture(models.build(Model(width=3), (3, 8, 8), 1))


@pytest.fixture
def state(cells):
    """Three different networks with BatchNorm statistics that are not the initial ones."""
    state = stack.initial_state(cells, (3, 8, 8), 1, dtype=torch.float64, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    for name, value in state.items():
        if name.endswith(("running_mean", "running_var")):
            value.copy_(torch.rand(value.shape, generator=generator, dtype=value.dtype) + 0.5)
    return state


@pytest.fixture
def images():
    return torch.randn(50, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def network_of(state):
    """The ordinary module of one place of the stack."""

    def build(place):
        network = models.build(Model(width=3), (3, 8, 8), 1).double()
        network.load_state_dict({name: value[place].clone() for name, value in state.items()}, strict=False)
        return network

    return build
