"""Sampled points: deterministic, growing without a change of the first ones, within their ranges."""

import numpy as np
import pytest

from gengap.errors import UserError
from gengap.studies.study import load_study

STUDY = """\
title: Sampled
base:
  dataset: {name: gaussian, image_size: 8, n_train: 400, n_test: 200}
grid:
"""
RANGES = """\
    optimizer.lr: {low: 0.001, high: 1.0, scale: log}
    model.width: {low: 4, high: 64}
    seed: 0..1
"""


@pytest.fixture
def load(tmp_path):
    def write_and_load(sample, ranges=RANGES):
        path = tmp_path / "study.yaml"
        path.write_text(
            f"{STUDY}  - sample: {sample}\n{ranges}  - {{model.width: [8], optimizer.lr: [0.1], seed: [0]}}\n"
        )
        return load_study(path)

    return write_and_load


def points(study):
    cells = [cell for cell in study.cells.values() if cell.seed == 1]
    return np.array([[cell.optimizer.lr, cell.model.width] for cell in cells])


@pytest.mark.parametrize("method", ["sobol", "random"])
def test_more_points_keep_the_first_ones(load, method):
    few, many = (load(f"{{method: {method}, points: {count}, seed: 3}}") for count in (8, 20))
    assert [name for name in many.cells if name in few.cells] == list(few.cells)
    assert len(points(few)) == 8
    assert len(few.cells) == 17  # two seeds of each point, and the full grid's cell
    assert points(load(f"{{method: {method}, points: 8, seed: 4}}")).tolist() != points(few).tolist()


def test_a_sobol_sequence_fills_the_ranges_evenly(load):
    found = points(load("{points: 16}"))
    rates, widths = np.log10(found[:, 0]), found[:, 1]
    # One point in each sixteenth of every axis, of the net's first 16.
    assert sorted(np.floor((rates + 3) / 3 * 16 - 1e-9).astype(int)) == list(range(16))
    assert sorted(np.histogram(widths, bins=4, range=(4, 64))[0]) == pytest.approx([4] * 4, abs=1)
    assert all(float(width).is_integer() and 4 <= width <= 64 for width in widths)


def test_points_that_round_to_the_same_are_one(load):
    found = load("{method: random, points: 50}", "    model.width: {low: 4, high: 6}\n    seed: 0..1\n")
    assert {cell.model.width for cell in found.cells.values()} == {4, 5, 6, 8}
    assert len(found.cells) == 3 * 2 + 1


@pytest.mark.parametrize(
    ("sample", "ranges", "message"),
    [
        ("{points: 0}", RANGES, r"grid\.sample: points"),
        ("{points: 4, method: latin}", RANGES, r"grid\.sample: method"),
        ("{points: 4}", "    seed: 0..1\n", "has no range to sample"),
        ("{points: 4}", "    optimizer.lr: {low: 0, high: 1, scale: log}\n", "positive ends"),
        ("{points: 4}", "    optimizer.lr: {low: 1.0, high: 0.1}\n", "low must be less than high"),
        ("{points: 4}", "    optimizer.rate: {low: 0.1, high: 1.0}\n", "optimizer.rate"),
    ],
)
def test_mistakes_are_one_message(load, sample, ranges, message):
    with pytest.raises(UserError, match=message):
        load(sample, ranges)
