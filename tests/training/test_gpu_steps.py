"""How a GPU takes its steps: replayed whether compiled or not, compiled where that pays on this GPU."""

import pytest
import torch

from gengap import models
from gengap.engine import stack
from gengap.studies.settings import Model
from gengap.training import compilation, step_cost
from gengap.training.cuda_graph import Replayed

H100 = 3.35e12  # bytes/s


def pays(n_steps, *, width=4, n_networks=64, batch_size=128, bandwidth=H100):
    arch = stack.architecture(models.build(Model(width=width), (3, 8, 8), 1))
    sizes = {"n_networks": n_networks, "batch_size": batch_size}
    return step_cost.pays_on_gpu(arch, (3, 8, 8), bandwidth=bandwidth, n_steps=n_steps, **sizes)


def test_compiling_pays_for_long_jobs():
    assert not pays(1_000)
    assert pays(1_000_000)


@pytest.fixture(scope="module")
def earliest():
    return next(steps for steps in range(1_000, 1_000_000, 1_000) if pays(steps))


@pytest.mark.parametrize("more", [{"width": 64}, {"n_networks": 4096}, {"batch_size": 8192}, {"bandwidth": H100 / 64}])
def test_compiling_pays_earlier_where_more_goes_through_memory(earliest, more):
    assert pays(earliest - 1_000, **more)


def test_uncompiled_training_is_the_same_replayed(train, make_cell, monkeypatch):
    """A pack that shrinks, with a smaller last batch; a recording on the processor is the function itself."""
    cells = {"short": make_cell(0, training={"epochs": 1}), "long": make_cell(1)}
    plain = train(cells, pack_size=2)
    steps = []

    def recorded(step, device):
        steps.append(Replayed(step, lambda run: run() or run))
        return steps[0]

    monkeypatch.setattr(compilation, "recorded", recorded)
    replayed = train(cells, pack_size=2)
    assert len(steps) == 1
    for name, result in plain.items():
        assert result.history == replayed[name].history
        weights, others = (found[name].checkpoints for found in (plain, replayed))
        assert weights.keys() == others.keys()
        for at, state in weights.items():
            assert all(torch.equal(value, others[at][key]) for key, value in state.items())
