"""The table of paired effects: known differences, failures counted, the start, and what it asks for."""

import dataclasses

import pandas as pd
import pytest
import synthetic

from gengap.errors import UserError
from gengap.evidence import tables
from gengap.evidence.tables import paired_effects

GRID = {"model.width": [4], "init": ["he", "xavier", "normal"], "seed": [0, 1, 2, 3]}


@pytest.fixture
def found(tmp_path):
    made = synthetic.study(tmp_path, GRID)
    gain = {"he": 0.0, "xavier": 0.1, "normal": -0.05}
    values = {
        name: {"test_accuracy": 0.5 + 0.1 * cell.seed + gain[cell.init.name] * (1 + 0.1 * cell.seed)}
        for name, cell in made.cells.items()
    }
    return synthetic.collected(tmp_path, made, values=values, status={"width=4,init=xavier,seed=3": "dead"})


def row(table, quantity, value, at="end"):
    rows = table[(table["quantity"] == quantity) & (table["init"] == value) & (table["at"] == at)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_differences_are_paired_and_in_percentage_points(found):
    table = paired_effects.table(found)
    xavier, normal = (row(table, "test accuracy", value) for value in ("xavier", "normal"))
    assert (xavier["pairs"], xavier["left_out"], xavier["baseline"]) == (3, 1, "he")
    assert xavier["difference"] == pytest.approx(10 + 1)
    assert xavier["largest"] == pytest.approx(12)
    assert (normal["pairs"], normal["left_out"]) == (4, 0)
    assert normal["difference"] == pytest.approx(-5 * 1.15)
    smaller, larger = sorted((xavier, normal), key=lambda one: one["p_t"])
    assert smaller["p_t_holm"] == pytest.approx(2 * smaller["p_t"])
    assert larger["p_t_holm"] == pytest.approx(max(2 * smaller["p_t"], larger["p_t"]))


def test_the_start_says_whether_the_function_changed(found):
    table = paired_effects.table(found)
    # Made-up curves and gradients depend on seed and width alone.
    for quantity in ("train loss", "largest / smallest layer gradient norm"):
        same = row(table, quantity, "xavier", at="start")
        assert (same["difference"], same["largest"], same["p_t"], same["p_wilcoxon"]) == (0, 0, 1, 1)


def test_files_and_readable_text(tmp_path, found):
    paths = {suffix: tmp_path / f"table.{suffix}" for suffix in ("csv", "md", "tex", "html")}
    tables.write("paired_effects", found, paths)
    assert len(pd.read_csv(paths["csv"])) == 2 * 6
    header, _, first, *_ = paths["md"].read_text().splitlines()
    assert "difference" in header
    assert "p wilcoxon holm" in header
    assert all(len(text.strip()) < 45 for text in first.split("|"))
    assert [text.strip() for text in first.split("|")[1:3]] == ["Xavier init", "He init"]  # the baseline in words too


def test_what_it_needs_is_named(tmp_path):
    alone = synthetic.collected(tmp_path, synthetic.study(tmp_path, {"seed": [0, 1]}))
    with pytest.raises(UserError, match="no two cells differ in only one axis"):
        paired_effects.table(alone)
    made = synthetic.study(tmp_path, GRID)
    with pytest.raises(UserError, match="List 'performance' under `probes`"):
        paired_effects.table(synthetic.collected(tmp_path, made, probes=("gradient",)))


def test_a_study_names_the_axis_and_each_seed_counts_once(tmp_path):
    """As in a newcomer's grid of three axes and three seeds: 27 pairs are 3 runs."""
    grid = {
        "model.width": [4, 8],
        "optimizer.lr": [0.1, 0.2, 0.4],
        "init": ["he", "xavier", "normal"],
        "seed": [0, 1, 2],
    }
    made = synthetic.study(tmp_path, grid, tables=[{"name": "paired_effects", "axis": "width"}])
    found = dataclasses.replace(synthetic.collected(tmp_path, made), options={"axis": "width"})
    wide = paired_effects.table(found)
    assert set(wide["seeds"]) == {3}
    assert set(wide["pairs"]) == {27}
    assert {"p_interaction_lr", "p_interaction_init"} <= set(wide)
    rates = paired_effects.table(dataclasses.replace(found, options={"axis": "lr"}))
    assert list(rates["lr"].unique()) == [0.2, 0.4]
    assert {"p_interaction_width", "p_interaction_init"} <= set(rates)


WIDTHS = {"model.width": [4, 8], "optimizer.lr": [0.1, 0.2], "seed": [0, 1]}


@pytest.mark.parametrize(
    ("grid", "table", "said"),
    [
        (WIDTHS, "paired_effects", "the grid varies width and lr"),
        (WIDTHS, {"name": "paired_effects", "axis": "init"}, "'init' is no axis with several values. .*: width, lr"),
        (WIDTHS, {"name": "paired_effects", "axis": "seed"}, "'seed' is no axis with several values"),
        ({"model.width": [4], "seed": [0, 1]}, "paired_effects", "no axis of `grid` beside the seed"),
    ],
)
def test_check_asks_for_the_axis_before_anything_is_trained(tmp_path, grid, table, said):
    with pytest.raises(UserError, match=said):
        synthetic.study(tmp_path, grid, tables=[table])
