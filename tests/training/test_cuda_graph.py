"""A recorded step against the plain one; on the processor a recording is the function itself, called anew."""

import pytest
import torch

from gengap import models
from gengap.engine import stack
from gengap.training import pack_state
from gengap.training.cell_result import CellResult
from gengap.training.cuda_graph import Replayed
from gengap.training.optimizers import stacked_settings
from gengap.training.step import StepInputs, make_step

CPU = torch.device("cpu")


def record(run):
    """As a recording leaves it: the step was done some times, and calling the result does it again."""
    run()
    run()
    return run


@pytest.fixture
def pack(make_cell, data):
    """The plain step, its arguments for two networks, and batches of 20."""
    cells = [make_cell(seed, optimizer={"name": "adam", "lr": 0.01}) for seed in range(2)]
    arch = stack.architecture(models.build(cells[0].model, (3, 8, 8), 1))
    state = stack.initial_state(cells, (3, 8, 8), 1, dtype=torch.float64, device=CPU)
    packed = pack_state.start([CellResult(str(cell.seed), cell, "", 0) for cell in cells], arch, state)
    hyperparameters = stacked_settings(cells, dtype=torch.float64, device=CPU)
    order = torch.stack([torch.randperm(100, generator=torch.Generator().manual_seed(seed)) for seed in range(2)])
    inputs = [StepInputs(samples, hyperparameters, {}, {}) for samples in order.split(20, dim=1)]
    return make_step(arch, cells[0]), packed, (data.train_images, data.train_labels), inputs


def run(step, plain, pack, resident, inputs, half=20):
    """Five steps, with another learning rate from the fourth on; the last batch is cut and taken by the plain step."""
    networks, losses = pack.networks, []
    for number, given in enumerate(inputs):
        if number >= 3:
            given = given._replace(hyperparameters={**given.hyperparameters, "lr": given.hyperparameters["lr"] / 2})
        if number == 2:
            networks, loss = plain(networks, *resident, given._replace(samples=given.samples[:, :half]))
        else:
            networks, loss = step(networks, *resident, given)
        losses.append(loss.clone())
    return [value.clone() for value in torch.utils._pytree.tree_leaves(networks)], losses


def test_replayed_steps_are_the_plain_ones(pack):
    plain, packed, *rest = pack
    before = {name: value.clone() for name, value in packed.networks.parameters.items()}
    expected = run(plain, plain, packed, *rest, half=7)
    found = run(Replayed(plain, record), plain, packed, *rest, half=7)
    for one, other in zip(found, expected, strict=True):
        assert all((a == b).all() for a, b in zip(one, other, strict=True))
    # What was handed in is as it was.
    assert all((packed.networks.parameters[name] == value).all() for name, value in before.items())


def test_a_smaller_stack_is_recorded_anew(pack):
    plain, packed, resident, inputs = pack
    recordings = []
    step = Replayed(plain, lambda run: recordings.append(1) or record(run))
    for _ in range(2):
        packed.networks, _ = step(packed.networks, *resident, inputs[0])
    assert len(recordings) == 1
    packed.keep([1])
    alone = {name: value[1:] for name, value in inputs[1].hyperparameters.items()}
    arguments = (packed.networks, *resident, StepInputs(inputs[1].samples[1:], alone, {}, {}))
    expected, found = plain(*arguments)[0].parameters, step(*arguments)[0].parameters
    assert len(recordings) == 2
    assert all((found[name] == value).all() for name, value in expected.items())


def test_a_step_that_cannot_be_recorded_runs_as_it_is(pack, caplog):
    def fail(run):
        raise RuntimeError("CUDA error: operation not permitted\nsecond line")

    plain, packed, *rest = pack
    expected = run(plain, plain, packed, *rest)
    found = run(Replayed(plain, fail), plain, packed, *rest)
    assert all((a == b).all() for a, b in zip(found[0], expected[0], strict=True))
    assert caplog.text.count("without CUDA graphs, since recording one failed: CUDA error: operation not perm") == 1


def test_other_data_is_not_read_from_the_recording(pack):
    plain, packed, (images, labels), inputs = pack
    step = Replayed(plain, record)
    step(packed.networks, images, labels, inputs[0])
    other = images.flip(0)
    found, expected = (each(packed.networks, other, labels, inputs[0]) for each in (step, plain))
    assert (found[1] == expected[1]).all()
