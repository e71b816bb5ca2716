"""A table is checked before it is judged: messages name file, column, value and what is allowed."""

import networks
import numpy as np
import pytest

from gengap.errors import UserError
from gengap.scoreboard.population import population, read_csv


@pytest.fixture
def table():
    return networks.grid(axes=(4, 3), seeds=3).table.assign(twice=0)


def judge(table, **options):
    return population(table, **{"gap": "gap", "axes": ["a", "b"], "measures": ["m"], "where": "t.csv"} | options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gap": "gp"}, "t.csv: gap: unknown column 'gp'. Did you mean"),
        ({"axes": ["a", "width"]}, "t.csv: axis: unknown column 'width'"),
        ({"measures": ["norm_*"]}, "t.csv: measure: unknown column 'norm_\\*'"),
        ({"measures": []}, "t.csv: measure: name at least one column"),
        ({"axes": []}, "t.csv: axis: name at least one column"),
        ({"measures": ["m", "gap"]}, "column 'gap' is named as gap and as measure"),
        ({"axes": ["a", "a"]}, "column 'a' is named twice as axis"),
        ({"axes": ["b", "a"], "seed": "twice"}, "two networks have b=0, a=0, twice=0. Name every axis"),
        ({"decreasing": ["k"]}, "t.csv: decreasing: unknown measure 'k'"),
        ({"status": "state"}, "t.csv: status: unknown column 'state'"),
        ({"at_least": {"accuracy": 0.5}}, "t.csv: unknown column 'accuracy'"),
        ({"test_size": -1}, "test_size: -1 is not allowed"),
        ({"test_size": 100}, "gap 'gap' exceeds 1, so it is no difference of accuracies"),
    ],
)
def test_wrong_options_are_named(table, options, message):
    with pytest.raises(UserError, match=message):
        judge(table, **options)


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("m", 4, "large", "t.csv: line 6: m: 'large' is not a number"),
        ("gap", 0, "n/a?", "t.csv: line 2: gap: 'n/a\\?' is not a number"),
        ("a", 2, None, "t.csv: line 4: column 'a' is empty"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(table, column, row, value, message):
    table[column] = table[column].astype(object)
    table.loc[row, column] = value
    with pytest.raises(UserError, match=message):
        judge(table)


def test_an_axis_with_one_value_a_constant_gap_and_few_configurations(table):
    with pytest.raises(UserError, match="axis 'one' has one value only"):
        judge(table.assign(one=1), axes=["a", "b", "one"])
    with pytest.raises(UserError, match="the gap 'gap' is the same in all networks"):
        judge(table.assign(gap=0.5))
    with pytest.raises(
        UserError, match=r"18 networks in 6 configurations are left; at least 8 .*Left out were 18 dead"
    ):
        judge(table.assign(status=np.where(table["a"] < 2, "dead", "finished")), status="status")


def test_failed_networks_are_counted_by_reason(table):
    table["status"] = "finished"
    table.loc[[0, 5], "status"] = "dead"
    table.loc[7, "status"] = "diverged"
    table.loc[[0, 9], "m"] = np.nan
    table.loc[11, "gap"] = np.inf
    table["accuracy"] = 0.9
    table.loc[13, "accuracy"] = 0.1
    found = judge(table, status="status", at_least={"accuracy": 0.5})
    expected = {"dead": 2, "diverged": 1, "accuracy below 0.5": 1, "gap not finite": 1, "m not finite": 1}
    assert dict(found.left_out) == expected
    assert len(found.table) == 36 - 6


def test_a_measure_that_is_mostly_missing_is_refused(table):
    table.loc[:20, "m"] = np.nan
    with pytest.raises(UserError, match="column 'm' is no finite number in 21 of 36 networks"):
        judge(table)


def test_patterns_stand_for_columns_and_configurations_are_whole(table):
    found = judge(table.sample(frac=1, random_state=0), measures=["[mk]"], seed="seed")
    assert found.measures == ("m", "k")
    assert found.sizes.tolist() == [3] * 12
    assert found.levels[:, 0].tolist() == sorted(found.levels[:, 0].tolist())


def test_an_axis_may_mix_numbers_and_words(table):
    table["a"] = table["a"].astype(object).where(table["a"] > 0, "none")
    assert judge(table).levels.max(axis=0).tolist() == [3, 2]


def test_no_table(tmp_path):
    with pytest.raises(UserError, match="cannot be read as CSV"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("a,b\n")
    with pytest.raises(UserError, match="has no rows"):
        read_csv(tmp_path / "empty.csv")
