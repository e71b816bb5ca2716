"""The step of pruned perceptrons on the weights that are left is the masked step, up to rounding."""

import itertools

import pytest
import torch
from step_arguments import CPU, prepared
from torch.utils import _pytree as pytree

from gengap.engine.cpu import operators
from gengap.studies.settings import After, Cell
from gengap.training import compilation, masks, step_choice
from gengap.training.pack_state import PackState
from gengap.training.sparse_step import is_sparse, make_sparse_step
from gengap.training.step import make_step

pytestmark = pytest.mark.skipif(not operators.available(), reason="no C++ compiler")
MLP = {"name": "mlp", "width": 12, "depth": 2, "batchnorm": "none", "proportions": [1, 0.5]}
CASES = {
    "sgd": {},
    "momentum and decay": {"optimizer": {"momentum": 0.9, "weight_decay": 0.1}},
    "adam": {"optimizer": {"name": "adam", "momentum": 0.0, "lr": 0.001, "weight_decay": 0.01}},
    "adamw": {"optimizer": {"name": "adamw", "momentum": 0.0, "lr": 0.001, "weight_decay": 0.01}},
    "cross-entropy": {"loss": {"name": "cross_entropy"}},
    "squared loss": {"loss": "squared"},
    "no whole vector": {"batch_size": 30},
    "several blocks": {"batch_size": 200},
    "one sample": {"batch_size": 1},
    "one network": {"n_networks": 1},
    "one layer": {"model": {"name": "mlp", "depth": 1, "width": 3, "batchnorm": "none"}},
}


def sparse_case(**settings):
    """Pruned perceptrons whose masks differ in how much they leave; a whole row and a whole layer are pruned."""
    arch, cell, (networks, *others) = prepared(pruned=True, **{"model": MLP, **settings})
    state, pruned = networks.optimizer_state, networks.optimizer_state[masks.MASK]
    left = {name: mask for name, mask in pruned.items() if name.endswith(".weight")}
    names = list(left)
    left[names[0]][0] = (torch.rand(left[names[0]][0].shape, generator=torch.Generator().manual_seed(1)) > 0.9).float()
    left[names[0]][-1, 1] = 0
    left[names[-1]][-1] = 0
    parameters = masks.masked(networks.parameters, left)
    return arch, cell, (networks._replace(parameters=parameters, optimizer_state={**state, masks.MASK: left}), *others)


def steps_of(step, arguments, count=3):
    networks, *others = arguments
    pack = PackState([], networks, [], [])
    for _ in range(count):
        pack.take(step, *others)
    return pack.networks


@pytest.mark.parametrize("case", CASES)
def test_steps_are_the_masked_ones(case):
    arch, cell, arguments = sparse_case(**CASES[case])
    found, expected = (steps_of(make(arch, cell), arguments) for make in (make_sparse_step, make_step))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for name, mask in found.optimizer_state[masks.MASK].items():
        for tensors in (found.parameters, *(part for part in found.optimizer_state.values() if name in part)):
            assert (tensors[name][mask == 0] == 0).all()
    (_, loss), (_, expected_loss) = (make(arch, cell)(*arguments) for make in (make_sparse_step, make_step))
    torch.testing.assert_close(loss, expected_loss)


def test_compiled_steps_are_the_uncompiled_ones():
    arch, cell, arguments = sparse_case(**CASES["adam"])
    step = make_sparse_step(arch, cell)
    found, expected = steps_of(compilation.compiled(step, CPU), arguments), steps_of(step, arguments)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("case", ["adam", "several blocks"])
def test_bits_do_not_depend_on_the_pack(case):
    arch, cell, (networks, images, targets, inputs) = sparse_case(**CASES[case])
    together = steps_of(make_sparse_step(arch, cell), (networks, images, targets, inputs))
    for slot in range(3):
        own, its_inputs = pytree.tree_map(lambda value, slot=slot: value[slot : slot + 1], (networks, inputs))
        alone = steps_of(make_sparse_step(arch, cell), (own, images, targets, its_inputs))
        pairs = zip(pytree.tree_leaves(alone), pytree.tree_leaves(together), strict=True)
        assert all(torch.equal(one[0], other[slot]) for one, other in pairs)


def test_what_is_read_between_steps_is_up_to_date():
    arch, cell, (networks, *others) = sparse_case(**CASES["adam"])
    read, unread = (PackState([], networks, [], []) for _ in range(2))
    own, its = make_sparse_step(arch, cell), make_sparse_step(arch, cell)
    moved = []
    for _ in range(3):
        read.take(own, *others)
        moved.append({name: value.clone() for name, value in read.networks.parameters.items()})
        unread.take(its, *others)
    weights = [parameters["linear1.weight"] for parameters in moved]
    assert not any(torch.equal(one, other) for one, other in itertools.pairwise(weights))
    torch.testing.assert_close(moved[-1], unread.networks.parameters, rtol=0, atol=0)
    # Another step goes on from there.
    read.take(make_step(arch, cell), *others)
    unread.take(own, *others)
    torch.testing.assert_close(read.networks, unread.networks, rtol=1e-4, atol=1e-5)


def test_packs_that_take_the_same_step_keep_theirs():
    arch, cell, (networks, *others) = sparse_case()
    step = make_sparse_step(arch, cell)
    one, other = (PackState([], networks, [], []) for _ in range(2))
    for pack in (one, one, other):
        pack.take(step, *others)
    expected = steps_of(make_sparse_step(arch, cell), (networks, *others), 2)
    torch.testing.assert_close(one.networks, expected, rtol=0, atol=0)


def masked_cell(prune=0.7, **settings):
    origin = Cell.model_validate({"model": MLP})
    return Cell.model_validate({"model": MLP, **settings}).model_copy(
        update={"after": After(origin="any", cell=origin, prune=(prune,))}
    )


def test_which_networks_take_it(monkeypatch):
    arch, *_ = prepared(model=MLP)
    assert is_sparse(arch, masked_cell())
    chosen = step_choice.make(arch, masked_cell(), (3, 8, 8), 32, CPU)
    assert type(chosen._layout).__name__ == "SparseLayout"
    for settings in (
        {"training": {"dtype": "bfloat16"}},
        {"training": {"dtype": "float64"}},
        {"training": {"augmentation": "flip_crop"}},
        {"training": {"noise_std": 0.1}},
        {"training": {"subspace": 5}},
        {"optimizer": {"name": "sgd_unit_rows"}},
    ):
        assert not is_sparse(arch, masked_cell(**settings)), settings
    assert not is_sparse(arch, Cell.model_validate({"model": MLP}))
    assert not is_sparse(arch, masked_cell(prune=0.2))
    for model in ({**MLP, "batchnorm": "before"}, {**MLP, "activation": "identity"}, {"width": 4}):
        assert not is_sparse(prepared(model=model)[0], masked_cell())
    monkeypatch.setattr(operators, "available", lambda: False)
    assert not is_sparse(arch, masked_cell())
