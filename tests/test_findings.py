"""`gengap findings`: numbers of pages that no evidence gives are named."""

from pathlib import Path

import pytest

from gengap import layout
from gengap.cli import findings
from gengap.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = """\
# Small networks

<!-- facts: 95 % -->

## Accuracy

In 12 of 20 runs of Table 4.1 width 4 reaches 88.5 % (mean; 95 % interval 87.25 to 89.8; `accuracy.csv`), 1,234.5 steps.

## Loss

<!-- not in the evidence: 0.77 -->

It falls to −0.5, [later](to/1.25.png) by 0.77, and `1.75` is code. The loss is 3.25.
"""


def test_what_counts_as_measured():
    found = [(one.text, one.value, one.line) for one in findings.numbers(PAGE)]
    assert found == [
        ("88.5 %", 88.5, 7),
        ("95 %", 95.0, 7),
        ("87.25", 87.25, 7),
        ("89.8", 89.8, 7),
        ("1,234.5", 1234.5, 7),
        ("0.5", 0.5, 13),
        ("0.77", 0.77, 13),
        ("3.25", 3.25, 13),
    ]


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The page with its evidence; of `loss.csv`, whose section names no table, every table of the folder counts."""
    monkeypatch.chdir(tmp_path)
    folder = layout.FINDINGS / "small"
    folder.mkdir(parents=True)
    (folder / "accuracy.csv").write_text("mean,low,high,steps\n0.884951,0.8725,0.898,1234.46\n")
    (folder / "loss.csv").write_text("loss\n-0.5\n3.249\n")
    path = layout.FINDINGS / "small.md"
    path.write_text(PAGE)
    return path


def test_rounded_numbers_and_percents_are_found_and_confessions_listed(page, capsys):
    assert main(["findings"]) == 0
    assert "8 measured numbers, 1 declared" in (printed := capsys.readouterr().out)
    assert "not in the evidence: 0.77" in printed


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("88.5 %", "88.6 %", "small.md:7: 88.6 %"),
        ("87.25", "3.25", "small.md:7: 3.25"),  # of another table than the section names
        ("95 % -->", "94 % -->", "small.md:7: 95 %"),
        ("is 3.25", "is 3.24", "small.md:13: 3.24"),
        ("evidence: 0.77", "evidence: 0.76", "small.md:13: 0.77"),
    ],
)
def test_a_number_that_nothing_gives_is_named(page, capsys, old, new, told):
    page.write_text(PAGE.replace(old, new, 1))
    assert main(["findings"]) == 1
    assert told in capsys.readouterr().err


def test_pages_of_this_repository_pass(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert main(["findings"]) == 0
