"""Where float32 products may be rounded to TensorFloat-32: in the steps of cells that ask for it, and nowhere else."""

import pytest
import torch

from gengap.engine import precision
from gengap.training import loop, step_choice


def allowed():
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.fixture
def seen(monkeypatch):
    """What was allowed in every step and in every evaluation."""
    seen = {"step": set(), "evaluation": set()}
    make_step, evaluate = step_choice.make, loop._evaluate

    def make(*arguments):
        step = make_step(*arguments)
        return lambda *given: seen["step"].add(allowed()) or step(*given)

    monkeypatch.setattr(step_choice, "make", make)
    monkeypatch.setattr(loop, "_evaluate", lambda *given: seen["evaluation"].add(allowed()) or evaluate(*given))
    return seen


@pytest.mark.parametrize("dtype", ["float32", "tf32"])
def test_only_the_steps_of_a_cell_that_asks_for_it_may_round(dtype, data, make_cell, train, seen):
    before = allowed()
    train({"cell": make_cell(training={"epochs": 1, "dtype": dtype})}, data=data)
    assert seen == {"step": {(dtype == "tf32",) * 2}, "evaluation": {(False, False)}}
    assert allowed() == before


def test_on_a_cpu_it_is_float32_and_another_cell(data, make_cell, train):
    cells = {dtype: make_cell(training={"epochs": 1, "dtype": dtype}) for dtype in ("float32", "tf32")}
    found = {dtype: train({dtype: cell}, data=data)[dtype].checkpoints[1.0] for dtype, cell in cells.items()}
    assert all(torch.equal(found["tf32"][name], value) for name, value in found["float32"].items())
    assert found["tf32"]["output.weight"].dtype == torch.float32
    assert cells["tf32"].identity() != cells["float32"].identity()


def test_what_was_allowed_before_is_allowed_after_an_error():
    before = allowed()
    with pytest.raises(ZeroDivisionError), precision.tensor_float32(not before[0]):
        raise ZeroDivisionError
    assert allowed() == before
