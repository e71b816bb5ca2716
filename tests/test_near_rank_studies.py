"""The studies of batch size compare what they say that they compare."""

import math
from pathlib import Path

import pytest

from gengap.evidence.published import parse_selector, read_published
from gengap.studies.study import axis_names, axis_values, load_study

CONFIG = Path(__file__).resolve().parents[1] / "config"
NAMES = sorted(path.stem for path in (CONFIG / "studies").glob("near_rank_*.yaml"))


def study(name, **options):
    return load_study(CONFIG / f"studies/{name}.yaml", **options)


def test_updates_are_equal_where_they_are_to_be():
    for reduced, images, expected, most in ((False, 60_000, 28_140, 0.01), (True, 16_384, 128, 0)):
        cells = study("near_rank_updates", reduced=reduced).cells.values()
        updates = {cell.training.epochs * math.ceil(images / cell.training.batch_size) for cell in cells}
        assert all(abs(one / expected - 1) <= most for one in updates)


def test_the_fashion_seed_is_a_part_of_the_whole_study():
    whole = [cell.identity() for cell in study("near_rank_lenet").cells.values()]
    assert all(cell.identity() in whole for cell in study("near_rank_lenet_fashion").cells.values())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("near_rank_width", "near_rank_lenet_fashion")])
def test_every_printed_number_has_cells(name):
    """A selector that finds nothing would only be told by a verdict, after the training."""
    made = study(name)
    for published in made.published:
        for selector in read_published(CONFIG / f"published/{published}.csv")["cells"].unique():
            wanted = {axis: value for axis, value in parse_selector(selector).items() if "*" not in value}
            axes = {axis: value for axis, value in wanted.items() if axis in axis_names(made)}
            found = [cell for cell in made.cells.values() if _has(axis_values(made, cell), axes)]
            assert len(found) >= 3, selector
            assert {cell.dataset.name for cell in found} == {wanted["dataset"]}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("near_rank_lenet_fashion", "near_rank_width")])
def test_reduced_settings_keep_every_batch_size_and_three_seeds(name):
    full, reduced = (
        {_size_and_seed(cell) for cell in study(name, reduced=one).cells.values()} for one in (False, True)
    )
    assert {(batch_size, seed) for batch_size, seed in full if seed < 3} == reduced


def _size_and_seed(cell):
    return cell.training.batch_size, cell.seed


def _has(values, wanted):
    return all(str(values[axis]) == value for axis, value in wanted.items())
