"""Learning curves of a running study: of finished packs and of those that are interrupted."""

import base64
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tensorboardX.proto.event_pb2 import Event

from gengap import layout
from gengap.cli import watch
from gengap.cli.main import main
from gengap.engine import weights
from gengap.evidence import live
from gengap.files import storage
from gengap.studies.study import load_study
from gengap.training import serialization
from gengap.training.cell_result import CellResult


@pytest.fixture
def running(finished_workspace, tmp_path, monkeypatch):
    """The tiny study with one pack finished, and of the other what a running job has saved."""
    shutil.copytree(finished_workspace / "config", tmp_path / "config")
    study = load_study(finished_workspace / "config/studies/tiny.yaml")
    (ended, other) = sorted((finished_workspace / "results/tiny/packs").iterdir())
    pack = layout.pack("tiny", ended.name)
    shutil.copytree(ended, tmp_path / pack)
    name = next(name for name in study.cells if "width=3" in name)
    state = weights.read(other / "weights.h5")[name]
    result = CellResult(name, study.cells[name], "x", 10, {0.0: state[0.0]}, [(0.0, "test_accuracy", 0.25)])
    monkeypatch.chdir(tmp_path)
    with storage.writing(layout.unfinished(layout.STORE) / "one.h5", "unfinished", {}) as file:
        serialization.write_results(file.create_group("records"), [result])
    return study


def test_finished_and_running_packs_are_shown(running, capsys):
    assert main(["watch", "tiny", "--once"]) == 0
    said = capsys.readouterr().out
    assert "tiny: 2 of 2 networks have a curve" in said
    assert "b  width=3: 25 at epoch 0, n = 1" in said
    assert "a  width=2: " in said
    assert "at epoch 1, n = 1" in said


def test_curves_have_the_interval_over_the_networks_of_a_group(running):
    rows = live.history(running, layout.STORE)
    found = live.curves(running, rows, "test_accuracy", [])
    start = found[found["epoch"] == 0].iloc[0]
    both = rows[(rows["quantity"] == "test_accuracy") & (rows["epoch"] == 0)]["value"]
    assert len(both) == 2
    assert start["n"] == 2
    assert start["mean"] == pytest.approx(100 * np.mean(both))
    assert start["low"] < start["mean"] < start["high"]


def test_the_picture_has_a_letter_at_each_mean_and_dots_between_the_ends():
    curves = pd.DataFrame({"epoch": [0, 10], "n": 3, "mean": [0.0, 50.0], "low": [0.0, 0.0], "high": [0.0, 100.0]})
    lines = watch.picture(curves, "test_accuracy", [], 60)
    assert lines[1].endswith("·")
    assert lines[1].startswith("      100 │")
    assert sum("·" in line for line in lines[1:17]) == 15  # the mean covers one
    assert lines[16].split("│")[1].startswith("a")
    assert lines[-1] == "  a  all: 50 [0, 100] at epoch 10, n = 3"


def test_a_page_renews_itself(running, capsys):
    assert main(["watch", "tiny", "--once", "--html", "live.html", "--every", "7"]) == 0
    page = Path("live.html").read_text()
    assert '<meta http-equiv="refresh" content="7">' in page
    assert "data:image/svg+xml;base64," in page


def svg_of(page):
    return base64.b64decode(re.search('data:image/svg[+]xml;base64,([^"]+)', page)[1]).decode()


@pytest.mark.parametrize("n_groups", [3, 8, 24])
def test_every_group_of_a_page_has_a_colour_of_its_own_and_a_legend_that_leaves_room(running, n_groups):
    groups = [{"width": width, "epoch": epoch} for width in range(n_groups) for epoch in (0, 1)]
    curves = pd.DataFrame(groups).assign(n=2, mean=10.0, low=5.0, high=15.0)
    svg = svg_of(watch.page(running, curves, "test_accuracy", ["width"], "told", 5))
    bands = set(re.findall(r"fill: (#\w{6})[^\"]*(?:fill-)?opacity: 0.18", svg))
    assert len(bands) == n_groups
    height, _ = (float(size) for size in re.search(r'height="([\d.]+)pt" viewBox="0 0 ([\d.]+)', svg).groups())
    assert height >= 4 * 72  # the figure grows by the rows of its legend


def test_a_page_of_a_study_that_has_not_begun_says_so(running):
    empty = pd.DataFrame(columns=["width", "epoch", "n", "mean", "low", "high"])
    page = watch.page(running, empty, "test_accuracy", ["width"], "0 of 2 networks have a curve", 5)
    assert "0 of 2 networks have a curve. Nothing is recorded yet" in page


def events(folder):
    """(Quantity, step, value) of a run, as TensorBoard's records hold them: length, check, event, check."""
    (path,) = folder.iterdir()
    content, found = path.read_bytes(), []
    while content:
        size = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12 : 12 + size])
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        content = content[16 + size :]
    return found


def test_tensorboard_gets_a_run_for_each_network(running, capsys):
    assert main(["tensorboard", "tiny", "board"]) == 0
    assert "board: 2 of 2 networks of tiny" in capsys.readouterr().out
    assert events(Path("board/width=3,lr=0.1,seed=0")) == [("test_accuracy", 0, 0.25)]
    rows = live.history(running, layout.STORE)
    own = rows[rows["cell"].str.startswith("width=2")]
    kept = {(name, step): value for name, step, value in events(Path("board/width=2,lr=0.1,seed=0"))}
    assert kept == pytest.approx({(row.quantity, int(row.epoch)): row.value for row in own.itertuples()})
    assert main(["tensorboard", "tiny", "board"]) == 1
    assert "board: exists already" in capsys.readouterr().err


def test_without_its_library_tensorboard_is_refused(running, monkeypatch, capsys):
    monkeypatch.setattr("gengap.cli.tensorboard.importlib.util.find_spec", lambda name: None)
    assert main(["tensorboard", "tiny", "board"]) == 1
    assert "needs tensorboardX. Install it: pip install tensorboardX." in capsys.readouterr().err
    assert not Path("board").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "widht"], "widht"),
        (["--quantity", "accuracy"], "accuracy"),
        (["--every", "0"], "--every: 0 is not allowed"),
    ],
)
def test_what_is_not_there_is_one_message(running, arguments, message, capsys):
    assert main(["watch", "tiny", "--once", *arguments]) == 1
    assert message in capsys.readouterr().err
