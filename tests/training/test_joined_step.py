"""A step on joined tensors is the step by name, bit for bit, and owns its tensors."""

import pytest
import torch
from step_arguments import CASES, CPU, SHAPE, prepared
from torch.utils import _pytree as pytree

from gengap.engine.cpu import operators
from gengap.registry import REGISTRY
from gengap.registry import load as load_part
from gengap.studies.settings import Cell
from gengap.training import compilation, masks
from gengap.training.fused_step import make_fused_step, make_joined_step
from gengap.training.joined_step import ALL, can_join
from gengap.training.optimizers import stacked_settings
from gengap.training.step import make_step

pytestmark = pytest.mark.skipif(not operators.available(), reason="no C++ compiler")
JOINED = [case for case in CASES if case != "subspace"]


def equal(found, expected):
    pairs = zip(pytree.tree_leaves(found), pytree.tree_leaves(expected), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("case", JOINED)
def test_three_steps_are_those_by_name(case):
    arch, cell, (networks, *others) = prepared(**CASES[case])
    if case == "pruned":  # of the weights alone, as a study's masks are
        del networks.optimizer_state[masks.MASK]["output.bias"]
    assert can_join(cell)
    joined, by_name = make_joined_step(arch, cell, SHAPE), make_fused_step(arch, cell, SHAPE)
    found = expected = networks
    for _ in range(3):
        (found, loss), (expected, its_loss) = joined(found, *others), by_name(expected, *others)
        assert equal(loss, its_loss)
    if case == "pruned":
        assert (found.optimizer_state[masks.MASK].pop("output.bias") == 1).all()
        assert list(found.optimizer_state[masks.MASK]) == list(expected.optimizer_state[masks.MASK])
    assert equal(found, expected)
    assert [list(part) for part in found] == [list(part) for part in expected]


def test_compiled_steps_are_those_by_name():
    arch, cell, (networks, *others) = prepared(optimizer={"name": "adam", "momentum": 0.0})
    joined = compilation.compiled(make_joined_step(arch, cell, SHAPE), CPU)
    by_name = compilation.compiled(make_fused_step(arch, cell, SHAPE), CPU)
    found = expected = networks
    for _ in range(3):
        (found, _), (expected, _) = joined(found, *others), by_name(expected, *others)
    assert equal(found, expected)


def test_what_it_is_given_stays_and_what_it_returns_moves_on():
    arch, cell, (networks, *others) = prepared()
    before = pytree.tree_map(torch.clone, networks)
    step = make_joined_step(arch, cell, SHAPE)
    first, _ = step(networks, *others)
    assert equal(networks, before)
    kept = pytree.tree_map(torch.clone, first)
    second, _ = step(first, *others)
    assert second is first
    assert not equal(second, kept)
    again, _ = step(networks, *others)  # others than those it has returned are taken anew
    assert equal(again, kept)


def test_which_optimisers_and_cells_are_joined():
    assert can_join(Cell())
    assert not can_join(Cell.model_validate({"optimizer": {"name": "sgd_unit_rows"}}))
    assert not can_join(Cell.model_validate({"training": {"subspace": 5}}))


@pytest.mark.parametrize("name", sorted(REGISTRY["optimizer"]))
def test_optimisers_that_say_so_are_elementwise(name):
    """A step of two parameters in one tensor is that of each; one that does not say so differs."""
    optimizer = load_part("optimizer", name)
    cells = [Cell.model_validate({"optimizer": {"name": name}, "seed": seed}) for seed in range(2)]
    generator = torch.Generator().manual_seed(0)
    apart = {f"layer.{kind}": torch.randn(2, *size, generator=generator) for kind, size in PARTS.items()}
    gradients = {key: torch.randn(value.shape, generator=generator) for key, value in apart.items()}
    settings = stacked_settings(cells, dtype=torch.float32, device=CPU)

    def moved(parameters, derivatives):
        state = optimizer.start(parameters)
        for _ in range(3):
            parameters, state = optimizer.step(parameters, derivatives, state, settings, cells[0].optimizer)
        return joined(parameters)

    def joined(tensors):
        return torch.cat([value.flatten(1) for value in tensors.values()], dim=1)

    same = torch.equal(moved({ALL: joined(apart)}, {ALL: joined(gradients)}), moved(apart, gradients))
    assert same == getattr(optimizer, "ELEMENTWISE", False)


PARTS = {"weight": (3, 4), "bias": (3,)}


def as_read(tree):
    """The same tensors in the order in which a file gives them back."""
    if isinstance(tree, dict):
        return {name: as_read(tree[name]) for name in sorted(tree)}
    return type(tree)(*map(as_read, tree)) if isinstance(tree, tuple) else tree


ADAM = {"optimizer": {"name": "adam", "momentum": 0.0, "lr": 0.001}}


def stacked_step(arch, cell, image_shape):
    return make_step(arch, cell)


@pytest.mark.parametrize(
    ("case", "make", "compiled"),
    [
        *((case, make_joined_step, False) for case in ({}, ADAM, {"pruned": True})),
        *(({**ADAM, "pruned": True}, make, True) for make in (make_joined_step, stacked_step)),
    ],
)
def test_networks_from_a_file_go_on_as_they_were(case, make, compiled):
    """Its names are sorted, and an optimiser's kinds of state have another order: they are matched by name."""
    arch, cell, (networks, *others) = prepared(**case)

    def trained(start):
        step = make(arch, cell, SHAPE)
        step = compilation.compiled(step, CPU) if compiled else step
        for _ in range(3):
            start, _ = step(start, *others)
        return as_read(start)

    assert equal(trained(as_read(networks)), trained(networks))


def test_a_state_may_refer_to_what_is_overwritten(monkeypatch):
    """The heavy ball by differences keeps the parameters before the step."""

    def start(parameters):
        return {"previous": {name: value.clone() for name, value in parameters.items()}}

    def step(parameters, gradients, state, hyperparameters, settings):
        moved = {
            name: value - 0.01 * gradients[name] + 0.9 * (value - state["previous"][name])
            for name, value in parameters.items()
        }
        return moved, {"previous": parameters}

    sgd = load_part("optimizer", "sgd")
    monkeypatch.setattr(sgd, "start", start)
    monkeypatch.setattr(sgd, "step", step)
    arch, cell, (networks, *others) = prepared()
    joined, by_name = make_joined_step(arch, cell, SHAPE), make_fused_step(arch, cell, SHAPE)
    found = expected = networks
    for _ in range(4):
        (found, _), (expected, _) = joined(found, *others), by_name(expected, *others)
    assert equal(found, expected)
