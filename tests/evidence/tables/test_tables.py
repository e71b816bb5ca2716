"""The table of final performance: known means and intervals, as numbers and as text."""

import base64
import math
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
import synthetic

from gengap.errors import UserError
from gengap.evidence import tables
from gengap.evidence.intervals import interval
from gengap.evidence.tables import final_performance
from gengap.evidence.verdicts import COLUMNS

GRID = {"model.width": [4, 8], "optimizer.lr": [0.1], "seed": [0, 1, 2]}


@pytest.fixture
def found(tmp_path):
    made = synthetic.study(tmp_path, GRID)
    values = {name: {"test_accuracy": 0.5 + 0.1 * cell.seed} for name, cell in made.cells.items()}
    status = {"width=8,lr=0.1,seed=1": "dead", "width=8,lr=0.1,seed=2": "diverged"}
    return synthetic.collected(tmp_path, made, values=values, status=status)


def test_one_row_per_group_with_means_intervals_and_failures(found):
    table = final_performance.table(found)
    narrow, wide = table.to_dict("records")
    expected = interval([0.5, 0.6, 0.7], share=True)
    assert (narrow["width"], narrow["lr"], narrow["seeds"], narrow["dead"], narrow["diverged"]) == (4, 0.1, 3, 0, 0)
    assert (narrow["test_accuracy"], narrow["test_accuracy_low"], narrow["test_accuracy_high"]) == pytest.approx(
        (60.0, *(100 * end for end in expected.of_mean))
    )
    assert (wide["seeds"], wide["dead"], wide["diverged"], wide["test_accuracy"]) == (1, 1, 1, 50.0)
    assert math.isnan(wide["test_accuracy_low"])


class Page(HTMLParser):
    """The rows of a page's table as text, and where its link leads."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.link, self.inside = [], "", False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.inside = tag in ("th", "td")
        if tag == "tr":
            self.rows.append([])
        if self.inside:
            self.rows[-1].append("")
        if tag == "a":
            self.link = dict(attributes)["href"]

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data.strip()


def test_four_files_hold_the_same_table(tmp_path, found):
    paths = {suffix: tmp_path / f"table.{suffix}" for suffix in ("csv", "md", "tex", "html")}
    tables.write("final_performance", found, paths)
    csv, md, tex, html = paths.values()
    pd.testing.assert_frame_equal(pd.read_csv(csv), final_performance.table(found), check_dtype=False, rtol=1e-5)
    header, _, narrow, wide = md.read_text().splitlines()
    cells = dict(
        zip(*([text.strip() for text in line.strip("|").split("|")] for line in (header, narrow)), strict=True)
    )
    assert cells["width"] == "4"
    assert cells["learning rate"] == "0.1"
    assert cells["test accuracy [%]"] == "60.00 [34.63, 81.31]"
    assert "| 50.00 " in wide
    text = tex.read_text()
    assert text.startswith(r"\begin{tabular}")
    assert r"\toprule" in text
    assert r"test accuracy [\%]" in text
    assert "60.00 [34.63, 81.31]" in text
    page = Page(html.read_text())
    assert page.rows == [
        [text.strip() for text in line.strip("|").split("|")]
        for line in md.read_text().splitlines()
        if "--" not in line
    ]
    assert base64.b64decode(page.link.partition(",")[2]) == csv.read_bytes()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, ""),
        ({"width=8,lr=0.1,seed=1": "dead"}, "Left out: 1 dead, of 6 networks."),
        (
            {"width=4,lr=0.1,seed=0": "stuck", "width=8,lr=0.1,seed=2": "diverged"},
            "1 stuck, 1 diverged, of 6 networks.",
        ),
    ],
)
def test_a_table_whose_columns_do_not_count_failed_networks_says_how_many_are_left_out(tmp_path, status, said):
    made = synthetic.study(tmp_path, GRID)
    paths = {suffix: tmp_path / f"table.{suffix}" for suffix in ("csv", "md", "tex", "html")}
    found = synthetic.collected(tmp_path, made, status=status)
    tables.write("explains", found, paths)
    for suffix in ("md", "html"):
        text = paths[suffix].read_text()
        assert (said in text) if said else ("Left out" not in text)
    assert "Left out" not in paths["csv"].read_text()
    if said:
        assert re.search("<tfoot>.*Left out.*</tfoot>\n</table>", paths["html"].read_text())  # what the report shows
    tables.write("final_performance", found, paths)
    assert "Left out" not in paths["md"].read_text()  # it has columns for them


def test_verdicts_as_a_page(tmp_path):
    """Signs of HTML in a note are text; a column in which no verdict says anything is left out."""
    row = {
        "study": "s",
        "source": "A & B (2019)",
        "table": "1",
        "row": "x",
        "alternative": "",
        "quantity": "train_loss",
    }
    row |= {
        "published": "0.50",
        "mean": 0.25,
        "low": 0.125,
        "high": 0.375,
        "width": 0.25,
        "n_seeds": 3,
        "verdict": "disagrees",
    }
    row |= {"why": "0.50 > 0.375 <b>", "settings": "full", "note": ""}
    missing = row | {
        "mean": math.nan,
        "low": math.nan,
        "high": math.nan,
        "width": math.nan,
        "verdict": "not comparable",
    }
    csv, html = tmp_path / "verdicts.csv", tmp_path / "verdicts.html"
    tables.write_verdicts(pd.DataFrame([row, missing]), "s", csv, html)
    assert csv.read_text().startswith("study,source,table,row,alternative,quantity,published,mean,low,high")
    header, *shown = Page(html.read_text()).rows
    first, second = (dict(zip(header, cells, strict=True)) for cells in shown)
    assert first["measured"] == "0.250 [0.125, 0.375]"
    assert second["measured"] == "-"
    assert first["why"] == "0.50 > 0.375 <b>"
    assert not {"alternative", "note", "study"} & set(header)


def test_a_study_without_published_numbers_has_a_page_too(tmp_path):
    csv, html = tmp_path / "verdicts.csv", tmp_path / "verdicts.html"
    tables.write_verdicts(pd.DataFrame(columns=COLUMNS), "s", csv, html)
    assert Page(html.read_text()).rows == []
    assert "There is nothing to show." in html.read_text()


def test_a_group_without_a_finished_network_is_a_dash(tmp_path):
    made = synthetic.study(tmp_path, {"seed": [0, 1]})
    found = synthetic.collected(tmp_path, made, status={"seed=0": "diverged", "seed=1": "diverged"})
    shown = tables.readable(final_performance.table(found))
    assert list(shown["test loss"]) == ["-"]
    assert list(shown["diverged"]) == ["2"]


def test_a_missing_probe_is_named(tmp_path):
    found = synthetic.collected(tmp_path, synthetic.study(tmp_path, GRID), probes=("gradient",))
    with pytest.raises(UserError, match="List 'performance' under `probes`"):
        final_performance.table(found)


@pytest.mark.parametrize(
    ("ends", "shown"),
    [
        ((-0.65561, -0.74803, -0.56312), "-0.656 [-0.748, -0.563]"),
        ((1.234e-17, -0.4521, 0.4521), "0.000 [-0.452, 0.452]"),
        ((-1e-12, -0.61, 0.72), "0.00 [-0.61, 0.72]"),
        ((1.0, 1.0, 1.0), "1 [1, 1]"),
        ((19.2712, -19.341, 57.883), "19.3 [-19.3, 57.9]"),
        ((3.21e-9, 1.11e-9, 5.31e-9), "3.21e-09 [1.11e-09, 5.31e-09]"),
        ((2.0e9, 1.5e9, 2.5e9), "2e+09 [1.5e+09, 2.5e+09]"),
        ((0.51234, math.nan, math.nan), "0.5123"),
    ],
)
def test_a_statistic_has_no_more_digits_than_its_interval_bears_out(ends, shown):
    columns = ("median", "median_low", "median_high")
    assert tables.readable(pd.DataFrame([dict(zip(columns, ends, strict=True))]))["median"].item() == shown
