"""The studies of learning rate and batch size compare what they say that they compare."""

import math
from pathlib import Path

import pytest

from gengap import registry
from gengap.engine import noise_draws
from gengap.evidence.published import parse_selector, read_published
from gengap.studies.study import axis_names, axis_values, load_study

CONFIG = Path(__file__).resolve().parents[1] / "config"
PUBLISHED = ["batch_sharpness", "batch_optimisers", "large_lr", "patches", "patches_control", "rates_cifar100"]


def study(name, **options):
    return load_study(CONFIG / f"studies/{name}.yaml", **options)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_printed_number_has_five_cells(name):
    """A selector that finds nothing would only be told by a verdict, after the training."""
    made = study(name)
    for published in made.published:
        for selector in read_published(CONFIG / f"published/{published}.csv")["cells"].unique():
            wanted = parse_selector(selector)
            exact = {axis: value for axis, value in wanted.items() if "*" not in value}
            starts = {axis: value.rstrip("*") for axis, value in wanted.items() if "*" in value}
            assert set(wanted) <= set(axis_names(made)), selector
            values = [axis_values(made, cell) for cell in made.cells.values()]
            found = [
                one
                for one in values
                if all(str(one[axis]) == value for axis, value in exact.items())
                and all(str(one[axis]).startswith(value) for axis, value in starts.items())
            ]
            assert len({one["seed"] for one in found}) == 5, selector


@pytest.mark.parametrize(("reduced", "images"), [(False, 60_000), (True, 2000)])
def test_readings_have_equal_updates_and_equal_epochs(reduced, images):
    cells = study("batch_readings", reduced=reduced).cells.values()
    updates = {cell.training.epochs * math.ceil(images / cell.training.batch_size) for cell in cells}
    assert max(updates) / min(updates) <= 1.01
    small = min(cell.training.epochs for cell in cells)
    assert all(small in (cell.training.epochs, *cell.training.snapshots) for cell in cells)
    smallest = min(cell.training.batch_size for cell in cells)
    for name in ("adam", "sgd"):
        own = [cell for cell in cells if cell.optimizer.name == name]
        base = next(cell for cell in own if cell.training.batch_size == smallest)
        ratio = max(cell.training.batch_size for cell in own) / smallest
        rates = {round(cell.optimizer.lr / base.optimizer.lr / ratio, 2) for cell in own if cell is not base}
        assert {1.0, round(ratio**-0.5, 2), round(1 / ratio, 2)} <= rates
        # Every warm-up is 2 % of its training.
        assert {round(cell.schedule.warm_up / cell.training.epochs, 3) for cell in own} == {0.02}


def test_rates_and_noise_fall_where_the_protocol_says():
    cells = study("patches").cells
    for arm, before, after, level in (
        ("large", 0.1, 0.004, 0),
        ("small", 0.004, 0.004, 0),
        ("small_noise", 0.004, 0.004, 0.4),
    ):
        cell = next(cell for name, cell in cells.items() if f"arm={arm}," in name)
        rates = [
            cell.optimizer.lr
            * registry.load("schedule", cell.schedule.name).decide(cell.schedule, 60, done, []).multiplier
            for done in (29, 30)
        ]
        assert rates == pytest.approx([before, after])
        levels = [noise_draws.level(cell.training, done) for done in (29, 30)]
        assert levels == pytest.approx([level, level * 1e-5])


def test_patched_cells_of_the_control_are_those_of_the_patch_study():
    for reduced in (False, True):
        patched = {str(cell.identity()) for cell in study("patches", reduced=reduced).cells.values()}
        control = study("patches_control", reduced=reduced).cells.values()
        again = {str(cell.identity()) for cell in control if cell.labels.name == "patches"}
        if not reduced:
            assert again == patched


def test_both_minima_of_a_pair_are_kept():
    for reduced in (False, True):
        for cell in study("batch_path", reduced=reduced).cells.values():
            assert cell.training.restart_at_switch
            assert cell.training.switch_epoch in cell.training.snapshots
            assert cell.training.epochs == 2 * cell.training.switch_epoch
