"""A training step by the kernels, in Triton's interpreter, against the ordinary step in float64.

Run by `test_interpreter.py`.
"""

import torch
from torch import nn
from torch.utils import _pytree as pytree

from gengap.engine import stack
from gengap.engine.fused import passes
from gengap.models.song import Block
from gengap.studies.settings import Cell
from gengap.training import fused_step, pack_state
from gengap.training.cell_result import CellResult
from gengap.training.fused_step import make_fused_step
from gengap.training.optimizers import stacked_settings
from gengap.training.step import StepInputs, make_step

CPU = torch.device("cpu")


def test_a_step_is_the_ordinary_one(monkeypatch):
    """Weights, momentum, running statistics and losses of two networks; five samples are a block and a tail."""
    monkeypatch.setattr(passes, "_BLOCK", 4)
    monkeypatch.setattr(passes, "supports", lambda *_: True)
    monkeypatch.setattr(fused_step, "_gathered", lambda images, samples, after: images[samples])
    torch.manual_seed(0)
    arch = stack.architecture(nn.Sequential(Block(1, 1, 2, nn.BatchNorm2d), nn.Flatten(), nn.Linear(4, 1)))
    settings = {"optimizer": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}, "training": {"dtype": "float64"}}
    cells = [Cell.model_validate({**settings, "seed": seed}) for seed in range(2)]
    shapes = arch.training.state_dict()
    state = {name: torch.rand(2, *value.shape, dtype=torch.float64) for name, value in shapes.items()}
    pack = pack_state.start([CellResult(str(cell.seed), cell, "", 0) for cell in cells], arch, state)
    images, targets = torch.randn(6, 1, 3, 3, dtype=torch.float64), torch.tensor([1.0, -1, 1, -1, 1, -1]).double()
    samples = torch.tensor([[0, 2, 4, 5, 1], [5, 3, 0, 1, 2]])
    hyperparameters = stacked_settings(cells, dtype=torch.float64, device=CPU)
    given = (pack.networks, images, targets, StepInputs(samples, hyperparameters, {}, {}))
    step = make_fused_step(arch, cells[0], (1, 3, 3))
    found, expected = (pytree.tree_leaves(each(*given)) for each in (step, make_step(arch, cells[0])))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() < 1e-12


def test_where_the_kernels_lack_something_there_is_no_such_step():
    arch = stack.architecture(nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1)))
    assert make_fused_step(arch, Cell(), (1, 2, 2)) is None
    known = stack.architecture(nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1)))
    assert make_fused_step(known, Cell(), (1, 2, 2)) is not None
    assert make_fused_step(known, Cell.model_validate({"training": {"dtype": "bfloat16"}}), (1, 2, 2)) is None
    noisy = Cell.model_validate({"training": {"noise_std": 0.1}})
    assert make_fused_step(known, noisy, (1, 2, 2)) is None
