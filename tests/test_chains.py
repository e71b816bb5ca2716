"""Chains of cells in a study's file: which cell comes after which, and what is refused."""

import pytest
import yaml

from gengap.errors import UserError
from gengap.evidence.collect import beside_axes
from gengap.studies.chains import origins, with_origins
from gengap.studies.jobs import Plan
from gengap.studies.settings import Cell
from gengap.studies.study import load_study

ARMS = {
    "second": {"after": {"origin": "first", "weights": 0, "prune": [0.5]}},
    "first": {"after": {"origin": "dense", "weights": 0, "prune": [0.5]}},
    "dense": {},
}


@pytest.fixture
def load(tmp_path):
    def load(arms, **base):
        content = {"title": "Chains", "base": base, "grid": {"arm": arms, "seed": [0, 1]}}
        (tmp_path / "chain.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return load_study(tmp_path / "chain.yaml")

    return load


def test_a_cell_comes_after_the_one_that_agrees_on_all_other_axes(load):
    study = load(ARMS)
    second = study.cells["arm=second,seed=1"]
    assert origins(study.cells, study.axes, ["arm=second,seed=1"]) == ["arm=first,seed=1"]
    alone = {"arm=second,seed=1": second}  # of 100,000 cells no other is looked at
    assert origins(alone, study.axes, ["arm=second,seed=1"]) == ["arm=first,seed=1"]
    assert with_origins(study.cells, study.axes, ["arm=second,seed=1"]) == [f"arm={arm},seed=1" for arm in ARMS]
    assert (second.after.links, second.after.masked) == (2, True)
    assert second.after.cell.after.cell == study.cells["arm=dense,seed=1"]


def test_packs_are_links_of_the_chain_and_read_the_weights_of_the_link_before(load):
    plan = Plan({"chain": load(ARMS)}, {})
    packs = plan.packs["chain"]
    assert list(packs) == [f"arm={arm}_pack=0" for arm in ("dense", "first", "second")]  # in the order of training
    read = [plan.train("chain", pack).inputs.get("origins", []) for pack in packs]
    assert read == [[], *([f"results/chain/packs/arm={arm}_pack=0/weights.h5"] for arm in ("dense", "first"))]


def test_links_of_a_chain_wait_for_one_another_and_take_all_cores(load):
    """As packs of one link can be trained side by side, and those of others cannot."""
    arms = {**ARMS, "other": {**ARMS["first"], "training.batch_size": 64}}
    plan = Plan({"chain": load(arms)}, {})
    found = {pack.removesuffix("_pack=0"): plan.side_by_side("chain", pack) for pack in plan.packs["chain"]}
    assert found == {"arm=dense": 1, "arm=first": 2, "arm=other": 2, "arm=second": 1}


def test_the_identity_holds_the_origins_and_not_the_names_of_arms(load):
    identity = load(ARMS).cells["arm=second,seed=0"].identity()
    renamed = {"b": {"after": {**ARMS["second"]["after"], "origin": "a"}}, "a": ARMS["first"], "dense": {}}
    assert load(renamed).cells["arm=b,seed=0"].identity() == identity
    assert Cell.from_identity(identity).identity() == identity
    assert (
        load(ARMS, **{"optimizer.lr": 0.2}).cells["arm=second,seed=0"].identity()["after.cell"]["optimizer.lr"] == 0.2
    )
    assert not any(key.startswith("after") for key in load(ARMS).cells["arm=dense,seed=0"].identity())


def test_the_table_of_cells_says_what_each_comes_after_and_not_the_whole_origin(load):
    fixed, varied = beside_axes(load(ARMS))
    assert varied["origin"] == ["first"] * 2 + ["dense"] * 2 + [""] * 2
    assert varied["weights"] == ["0.0"] * 4 + ["last"] * 2
    assert "cell" not in {*fixed, *varied}  # the column of names


@pytest.mark.parametrize(
    ("after", "more", "said"),
    [
        ({"origin": "dnse"}, {}, "Did you mean 'dense'"),
        ({"origin": "one"}, {}, "comes after itself"),
        ({"prune": [0.5]}, {}, "has no origin"),
        ({"origin": "dense", "weights": 7.0}, {}, "keeps none at epoch 7"),
        ({"origin": "dense"}, {"model.width": 8}, "its origin has another model"),
        ({"origin": "dense"}, {"training.subspace": 3}, "cannot be combined"),
        ({"origin": "dense", "weights": 50}, {"training.epochs": 30}, "keeps none at epoch 50"),
        ({"origin": "dense", "prune": [1.5]}, {}, "prune"),
        ({"origin": "dense", "prune": [0.5, 0.1], "scope": "global"}, {}, "global takes one share"),
        ({"origin": "dense", "cell": {}}, {}, "is filled in from"),
        ({"origin": "dense", "grow": True}, {}, "grow: needs an origin of a smaller model.width"),
        ({"origin": "dense", "grow": True, "prune": [0.5]}, {"model.width": 900}, "nothing pruned"),
    ],
)
def test_what_no_chain_can_be_is_refused(load, after, more, said):
    with pytest.raises(UserError, match=said):
        load({"one": {"after": after, **more}, "dense": {}})


@pytest.mark.parametrize("weights", [0, "last"])
def test_a_random_mask_has_no_weights_that_its_origin_has_pruned(load, weights):
    """They would start at zero: of 12 rounds' pruning, most of them."""
    random = {"origin": "first", "prune": [0.5], "mask": "random"}
    with pytest.raises(UserError, match="they would start at 0"):
        load(ARMS | {"random": {"after": {**random, "weights": weights}}})
    assert load(ARMS | {"random": {"after": {**random, "weights": "fresh"}}}).cells["arm=random,seed=0"].after.masked
    load({"dense": {}, "random": {"after": {**random, "origin": "dense", "weights": weights}}})
