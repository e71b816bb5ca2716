"""Cutting studies into packs."""

import json
import pickle

import pytest

from gengap.studies.grid import different
from gengap.studies.packing import PER_CELL_KEYS, collected_settings, pack_settings, packs, section_settings, shape_key
from gengap.studies.settings import Cell, identities, leaf_names
from gengap.studies.study import Study, load_study

ARMS = """\
title: t
base: {init: {name: he, mode: fan_out}, optimizer: {lr: 0.05}}
grid:
  arm: {plain: {optimizer.momentum: 0.5}, pruned: {after.origin: plain, after.prune: [0.5]}}
  model.width: [4, 8]
  seed: 0..2
"""
GRID = "title: t\ngrid: {model.width: [4, 8], optimizer.lr: [0.1, 0.2], seed: 0..4}\npack_size: {}\n"


@pytest.fixture
def study(tmp_path):
    def make(pack_size=64, text=GRID):
        path = tmp_path / "study.yaml"
        path.write_text(text.replace("{}", str(pack_size)))
        return load_study(path)

    return make


def test_every_cell_is_in_one_pack_with_cells_of_its_shape(study):
    made = study()
    found = packs(made)
    assert list(found) == ["width=4_pack=0", "width=8_pack=0"]
    assert sorted(cell for names in found.values() for cell in names) == sorted(made.cells)
    for names in found.values():
        assert len({shape_key(made.cells[name]) for name in names}) == 1


@pytest.mark.parametrize(("size", "lengths"), [(1, [1] * 10), (4, [4, 4, 2]), (10, [10]), (11, [10])])
def test_no_pack_is_larger_than_asked(study, size, lengths):
    found = packs(study(size))
    assert [len(names) for name, names in found.items() if name.startswith("width=4_")] == lengths


def test_pack_size_changes_no_cell(study):
    assert study(1).cells == study(64).cells


def test_what_may_differ_inside_a_pack_is_a_setting():
    assert set(leaf_names()) >= PER_CELL_KEYS


@pytest.mark.parametrize("key", ["model.width", "training.batch_size", "training.dtype", "dataset.n_train"])
def test_what_shapes_the_computation_parts_packs(study, key):
    made = study(text=f"title: t\ngrid: {{{key}: {['float32', 'float64'] if 'dtype' in key else [10, 20]}}}\n")
    assert len(packs(made)) == 2


def test_networks_with_few_weights_left_have_packs_of_their_own(study):
    """A CPU trains them by another step, and a network's bits must not depend on its pack."""
    made = study(
        text="""\
title: t
grid:
  arm:
    whole: {optimizer.momentum: 0.5}
    most: {after.origin: whole, after.prune: [0.5, 0.9]}
    few: {after.origin: whole, after.prune: [0.7, 0.1]}
    fewer: {after.origin: whole, after.prune: [0.9]}
    twice: {after.origin: most, after.prune: [0.5]}
  seed: 0..1
"""
    )
    arms = [sorted({made.cells[name].arm for name in names}) for names in packs(made).values()]
    assert arms == [["whole"], ["most"], ["few", "fewer"], ["twice"]]
    left = {cell.arm: round(cell.after.left, 3) for cell in made.cells.values()}
    assert left == {"whole": 1.0, "most": 0.5, "few": 0.3, "fewer": 0.1, "twice": 0.25}


def test_a_jobs_settings_print_as_a_digest_of_their_content(study):
    """Snakemake compares what is printed: equal for equal settings alone, and short."""
    made = study()
    names = packs(made)["width=4_pack=0"]
    settings = pack_settings(made, names)
    assert settings == {name: made.cells[name].identity() for name in names}
    assert repr(settings) == repr(pack_settings(study(), names)) == repr(pickle.loads(pickle.dumps(settings)))
    assert repr(settings) != repr(pack_settings(made, names[1:]))
    assert len(repr(settings)) < 80
    changed = study(text=GRID.replace("0.2]", "0.3]"))
    assert repr(pack_settings(changed, packs(changed)["width=4_pack=0"])) != repr(settings)


def test_settings_of_a_section_leave_its_defaults_out():
    cell = Cell.model_validate({"dataset": {"name": "cifar10", "image_size": 8}})
    assert section_settings(cell, "dataset") == {"name": "cifar10", "image_size": 8}


def test_the_identities_of_many_cells_are_those_of_each(study):
    made = study(text=ARMS)
    assert identities(made.cells) == {name: cell.identity() for name, cell in made.cells.items()}
    assert len({json.dumps(one, sort_keys=True) for one in identities(made.cells).values()}) == len(made.cells) == 12


def test_of_cells_that_differ_in_their_seed_alone_one_stands_for_all(study):
    made = study()
    assert list(different(made.cells)) == [name for name, cell in made.cells.items() if cell.seed == 0]
    # What comes after a network comes after one of its own seed.
    assert len(different(study(text=ARMS).cells)) == 2 + 2 * 3


def test_cells_are_collected_as_the_study_prints_them(study):
    """What results recorded stays up to date, whichever way it was computed."""
    made = study(text=ARMS)
    settings = collected_settings(made)
    plain = made.model_dump(include=set(settings), exclude_defaults=True)
    assert set(settings) == set(plain)
    assert json.dumps(settings, sort_keys=True, default=str) == json.dumps(plain, sort_keys=True, default=str)


def test_collection_depends_on_cells_and_texts_but_not_on_figures(study):
    made = study()
    settings = collected_settings(made)
    again = Study.model_validate(settings)
    assert (again.cells, again.axes, again.name, again.title) == (made.cells, made.axes, made.name, made.title)
    assert repr(collected_settings(study(text=GRID + "figures: [learning_curves]\n"))) == repr(settings)
    assert repr(collected_settings(study(text=GRID.replace("title: t", "title: u")))) != repr(settings)
