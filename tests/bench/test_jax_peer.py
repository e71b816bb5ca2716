"""JAX's program computes what PyTorch's does: else it would be no peer."""

import numpy as np
import pytest
import torch

jax = pytest.importorskip("jax")

from bench import jax_peer, ours  # noqa: E402
from gengap import models  # noqa: E402
from gengap.engine import stack  # noqa: E402
from gengap.studies.settings import Cell  # noqa: E402
from gengap.training import pack_state  # noqa: E402
from gengap.training.cell_result import CellResult  # noqa: E402
from gengap.training.optimizers import stacked_settings  # noqa: E402
from gengap.training.step import StepInputs, make_step  # noqa: E402

CPU, SHAPE, STEPS, BATCH = torch.device("cpu"), (3, 8, 8), 3, 10


@pytest.mark.parametrize("form", ["rows", "slices"])
def test_losses_gradients_and_statistics_are_pytorchs(form):
    """Three steps with momentum: a wrong gradient or statistic shows in parameters, buffers or momentum."""
    cells = [Cell.model_validate({"model": {"width": 3}, "optimizer": {"lr": jax_peer.LR}, "seed": s}) for s in (0, 1)]
    arch = stack.architecture(models.build(cells[0].model, SHAPE, 1))
    state = stack.initial_state(cells, SHAPE, 1, dtype=torch.float64, device=CPU)
    networks = pack_state.start([CellResult(str(cell.seed), cell, "", 0) for cell in cells], arch, state).networks
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(STEPS * BATCH, *SHAPE, generator=generator, dtype=torch.float64)
    labels = torch.randn(len(images), generator=generator, dtype=torch.float64).sign()
    orders = torch.stack([torch.randperm(len(images), generator=generator) for _ in cells])
    samples = orders.view(2, STEPS, BATCH).transpose(0, 1)
    with jax.enable_x64(True):
        start = [{n: jax.numpy.asarray(v.numpy()) for n, v in part.items()} for part in networks[:2]]
        start.append({name: jax.numpy.zeros_like(value) for name, value in start[0].items()})
        train = jax_peer.trainer(form, SHAPE)
        given = (jax_peer.arranged(images.numpy(), form), labels.numpy(), samples.numpy())
        found, losses = train(tuple(start), *map(jax.numpy.asarray, given))
    step, expected = make_step(arch, cells[0]), []
    hyperparameters = stacked_settings(cells, dtype=torch.float64, device=CPU)
    for index in samples:
        networks, loss = step(networks, images, labels, StepInputs(index, hyperparameters, {}, {}))
        expected.append(loss)
    np.testing.assert_allclose(losses, torch.stack(expected), rtol=1e-12)
    for part, theirs in zip(
        (networks.parameters, networks.buffers, networks.optimizer_state["momentum"]), found, strict=True
    ):
        assert set(part) == set(theirs)
        for name, value in part.items():
            np.testing.assert_allclose(theirs[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_it_runs_in_a_process_per_core():
    with jax_peer.packs_side_by_side(2, 4, 2, 1, 1) as run:
        assert run() > 0
    assert ours.pack_loop(2, 4, 2, 1, compiled=False)() > 0


def test_narrow_networks_take_rows_and_wide_ones_slices():
    assert [jax_peer.form_of(width) for width in (4, 16, 64)] == ["rows", "rows", "slices"]
