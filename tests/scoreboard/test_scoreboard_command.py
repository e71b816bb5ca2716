"""`gengap scoreboard` from a table to its files, as on the page that documents it."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from gengap.cli.main import main
from gengap.scoreboard import simulated

ROOT = Path(__file__).parents[2]


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["scoreboard", "networks.csv", "--example"]) == 0
    return tmp_path / "networks.csv"


def judge(*more):
    return main(["scoreboard", "networks.csv", *shlex.split(simulated.EXAMPLE_OPTIONS), "--resamples", "60", *more])


def test_the_example(table, capsys):
    assert judge() == 0
    words = pd.read_csv("scoreboard/scoreboard.csv").set_index("measure")["verdict"]
    assert words[["sharpness", "margin", "path_norm", "gradient_noise"]].tolist() == [
        "explains",
        "explains",
        "proxy",
        "inconsistent",
    ]
    assert words["weight_norm"] in ("no evidence", "undecided")
    assert words["parameter count"] == "proxy"
    out = capsys.readouterr().out
    assert re.search(r"Left out: \d+ dead, \d+ diverged \(3.3% of all\)", out)
    assert "wrote scoreboard/scoreboard.png, .pdf, .md, .csv and statistics.csv, levels.csv" in out
    with Image.open("scoreboard/scoreboard.png") as picture:
        assert picture.size[0] > 1500
        assert len(picture.convert("RGB").getcolors(2**20)) > 50
    page = Path("scoreboard/scoreboard.md").read_text()
    assert page.startswith("# Scoreboard of networks\n")
    assert "* **proxy**: moves with or against the gap only along the design" in page
    assert all(f"| {name} |" in page for name in ("sharpness", "*random*", "*noisy oracle*"))


@pytest.mark.thorough
def test_equal_tables_give_equal_files(table):
    assert judge("--out", "one") == judge("--out", "other") == 0
    files = sorted(path.name for path in Path("one").iterdir())
    assert len(files) == 6
    for name in files:
        assert (Path("one") / name).read_bytes() == (Path("other") / name).read_bytes(), name


def test_published_values_are_compared(table, capsys):
    assert judge("--published", str(ROOT / "config/published/dziugaite_figure_1.csv")) == 0
    found = pd.read_csv("scoreboard/reproduced.csv")
    assert "published values: " in capsys.readouterr().out
    assert set(found["verdict"]) >= {"not comparable", "disagrees"}
    assert (found["verdict"] == "not comparable").mean() > 0.8  # none of its measures is path_norm's namesake but one


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv", "--gap", "gap"], "none.csv: --axis is missing"),
        (["networks.csv", "--axis", "lr", "--measure", "margin"], "networks.csv: --gap is missing"),
        (["none.csv", "--gap", "gap", "--axis", "lr", "--measure", "m"], "none.csv: cannot be read as CSV"),
        (
            ["networks.csv", "--gap", "gap", "--axis", "widht", "--measure", "margin"],
            "unknown column 'widht'. Did you mean",
        ),
        (["networks.csv", "--read", "dziugaite", "--gap", "gap"], "--gap: --read dziugaite knows its columns"),
        (["networks.csv", "--read", "dziugaite"], "networks.csv: lacks the column 'gen.gap'"),
        (["networks.csv", "--resamples", "10"], "--resamples: 10 is not allowed, it is at least 50"),
        (["networks.csv", "--least", "0"], "--least: 0 is not allowed, it is at least 1"),
        (
            ["networks.csv", "--gap", "gap", "--axis", "lr", "--measure", "margin", "--at-least", "gap"],
            "--at-least: 'gap' is not allowed. Write COLUMN=VALUE",
        ),
    ],
)
def test_mistakes_are_one_message(table, capsys, arguments, message):
    assert main(["scoreboard", *arguments]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert not Path("scoreboard").exists()


def test_the_page_shows_this_example():
    page = (ROOT / "docs/scoreboard.md").read_text(encoding="utf-8")
    shown = " ".join(page.replace("\\\n", " ").split())
    assert f"gengap scoreboard networks.csv {simulated.EXAMPLE_OPTIONS}" in shown
