"""Weights come back as they were written, by cell and epoch."""

import pytest
import torch

from gengap.engine import weights
from gengap.errors import UserError


@pytest.fixture
def written(tmp_path):
    saved = {
        "seed=0": {0.0: {"layer.weight": torch.arange(6.0).reshape(2, 3)}, 1.5: {"layer.weight": torch.ones(2, 3)}},
        "seed=1": {0.0: {"layer.weight": -torch.ones(2, 3)}},
    }
    path = tmp_path / "weights.h5"
    weights.write(path, saved, {cell: {"seed": int(cell[-1])} for cell in saved}, (3, 8, 8), 1, {})
    return path, saved


def test_everything_comes_back(written):
    path, saved = written
    found = weights.read(path)
    assert {cell: list(epochs) for cell, epochs in found.items()} == {"seed=0": [0.0, 1.5], "seed=1": [0.0]}
    for cell, epochs in saved.items():
        for epoch, state in epochs.items():
            assert torch.equal(found[cell][epoch]["layer.weight"], state["layer.weight"])


def test_one_cell_at_its_last_epoch(written):
    settings, image_shape, n_outputs, state = weights.read_cell(written[0], "seed=0")
    assert (settings, image_shape, n_outputs) == ({"seed": 0}, (3, 8, 8), 1)
    assert torch.equal(state["layer.weight"], torch.ones(2, 3))


def test_rows_are_stacked_in_the_order_asked_for(written):
    state = weights.read_rows(written[0], [2, 0, 2])
    assert state["layer.weight"][:, 0, 0].tolist() == [-1, 0, -1]


@pytest.mark.parametrize(
    ("cell", "epoch", "message"),
    [("seed=2", None, "Choose from: seed=0, seed=1"), ("seed=0", 7, "Choose from: 0, 1.5")],
)
def test_what_is_not_there_is_named(written, cell, epoch, message):
    with pytest.raises(UserError, match=message):
        weights.read_cell(written[0], cell, epoch)
