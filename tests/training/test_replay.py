"""A recorded step against the plain one; on the processor a recording is the function itself, called anew."""

import pytest
import torch

from gengap import models
from gengap.engine import stack
from gengap.training import pack_state
from gengap.training.cell_result import CellResult
from gengap.training.cuda_graph import Replayed
from gengap.training.optimizers import stacked_settings
from gengap.training.step import make_step

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
    networks = pack_state.start([CellResult(str(cell.seed), cell, "", 0) for cell in cells], arch, state)
    numbers = stacked_settings(cells, dtype=torch.float64, device=CPU)
    order = torch.stack([torch.randperm(100, generator=torch.Generator().manual_seed(seed)) for seed in range(2)])
    return make_step(arch, cells[0]), networks, (data.train_images, data.train_labels), numbers, order.split(20, dim=1)


def run(step, plain, networks, resident, numbers, batches, half=20):
    """Five steps, with another learning rate from the fourth on; the last batch is cut and taken by the plain step."""
    state, losses = (networks.parameters, networks.buffers, networks.memory), []
    for number, index in enumerate(batches):
        if number == 3:
            numbers = {**numbers, "lr": numbers["lr"] / 2}
        take = plain if number == 2 else step
        *state, loss = take(*state, *resident, index[:, :half] if number == 2 else index, numbers, {}, {})
        losses.append(loss.clone())
    return [value.clone() for part in state for value in torch.utils._pytree.tree_leaves(part)], losses


def test_replayed_steps_are_the_plain_ones(pack):
    plain, networks, *rest = pack
    before = {name: value.clone() for name, value in networks.parameters.items()}
    expected = run(plain, plain, networks, *rest, half=7)
    found = run(Replayed(plain, record), plain, networks, *rest, half=7)
    for one, other in zip(found, expected, strict=True):
        assert all((a == b).all() for a, b in zip(one, other, strict=True))
    # What was handed in is as it was.
    assert all((networks.parameters[name] == value).all() for name, value in before.items())


def test_a_smaller_stack_is_recorded_anew(pack):
    plain, networks, resident, numbers, batches = pack
    recordings = []
    step = Replayed(plain, lambda run: recordings.append(1) or record(run))
    for _ in range(2):
        networks.parameters, networks.buffers, networks.memory, _ = step(
            networks.parameters, networks.buffers, networks.memory, *resident, batches[0], numbers, {}, {}
        )
    assert len(recordings) == 1
    networks.keep([1])
    alone = {name: value[1:] for name, value in numbers.items()}
    arguments = (networks.parameters, networks.buffers, networks.memory, *resident, batches[1][1:], alone, {}, {})
    expected, found = plain(*arguments)[0], step(*arguments)[0]
    assert len(recordings) == 2
    assert all((found[name] == value).all() for name, value in expected.items())


def test_a_step_that_cannot_be_recorded_runs_as_it_is(pack, caplog):
    def fail(run):
        raise RuntimeError("CUDA error: operation not permitted\nsecond line")

    plain, networks, *rest = pack
    expected = run(plain, plain, networks, *rest)
    found = run(Replayed(plain, fail), plain, networks, *rest)
    assert all((a == b).all() for a, b in zip(found[0], expected[0], strict=True))
    assert caplog.text.count("without CUDA graphs, since recording one failed: CUDA error: operation not perm") == 1


def test_other_data_is_not_read_from_the_recording(pack):
    plain, networks, (images, labels), numbers, batches = pack
    step = Replayed(plain, record)
    state = (networks.parameters, networks.buffers, networks.memory)
    step(*state, images, labels, batches[0], numbers, {}, {})
    other = images.flip(0)
    found, expected = (each(*state, other, labels, batches[0], numbers, {}, {}) for each in (step, plain))
    assert (found[3] == expected[3]).all()
