"""`gengap report` on files made by hand: results first, verdicts as one picture, nothing wider than the page."""

import re
from pathlib import Path

import pandas as pd
import pytest

from gengap import layout
from gengap.cli import report
from gengap.errors import UserError
from gengap.evidence import tables
from gengap.evidence.verdicts import COLUMNS
from gengap.studies.study import find_study, load_studies

STUDY = """\
title: Do <wide> networks win?
question: Does ``width`` *help*?
source: Someone (2019)
base: {dataset: {name: gaussian, image_size: 8}, loss: cross_entropy, training: {epochs: 1}}
grid: {model.width: [4], seed: [0]}
probes: [performance]
figures: [accuracy_by_width]
published: []
"""


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A study whose files of results are there; the page is made from these alone."""
    style = Path(layout.report_style("page")).read_text()
    monkeypatch.chdir(tmp_path)
    for path, text in ((layout.study_file("made"), STUDY), (layout.report_style("page"), style)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    picture = layout.page_figure("made", "accuracy_by_width", "png")
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"a picture")
    layout.tables("made").mkdir()
    write([])
    return find_study(load_studies(layout.STUDIES), "made")


def write(verdicts):
    """Verdicts by (row, alternative), as the workflow writes them."""
    rows = [
        dict.fromkeys(COLUMNS, "")
        | {"study": "made", "source": "Someone (2019)", "table": "4.1", "row": row, "alternative": alternative}
        | {"quantity": "train_loss", "published": "0.5", "verdict": verdict, "mean": 0.5, "low": 0.4, "high": 0.6}
        for (row, alternative), verdict in verdicts
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    tables.write_verdicts(table, "made", layout.verdicts("made"), layout.table("made", "verdicts", "html"))


def test_a_number_agrees_if_one_of_its_alternatives_does(finished):
    alternatives = {("a", "lr=1"): "disagrees", ("a", "lr=2"): "agrees", ("b", "lr=1"): "disagrees"}
    write([*alternatives.items(), (("b", "lr=2"), "not comparable"), (("c", ""), "not comparable")])
    page = report.page([finished])
    assert re.findall(r'<a class="mark (\w+)"', page) == ["agrees", "disagrees", "open"]
    assert "Published numbers beside ours: 1 agree, 1 disagree, 1 open" in page
    assert page.index('class="board"') < page.index("<figure")  # the answer comes first


def test_pictures_and_captions_are_inside_and_texts_are_escaped(finished):
    page = report.page([finished])
    assert "data:image/png;base64,YSBwaWN0dXJl" in page
    assert "Do &lt;wide&gt; networks win?" in page
    assert "Does <code>width</code> <i>help</i>?" in page
    assert "<b>Final accuracy against width</b>" in page
    assert "(study <code>made</code>; after" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)  # opens offline


def test_nothing_is_said_of_verdicts_where_nothing_was_published(finished):
    assert "ublished" not in report.page([finished]).partition("</style>")[2]


def test_an_unfinished_study_is_named(finished):
    layout.verdicts("made").unlink()
    with pytest.raises(UserError, match=r"verdicts.csv: is missing. Run the study first: make run STUDY=made"):
        report.page([finished])


def test_settings_are_called_full_only_where_there_are_reduced_ones(finished):
    assert "with full settings" not in report.page([finished], [finished.name])
    assert "with full settings" in report.page([finished], [finished.name, f"{finished.name}-reduced"])
