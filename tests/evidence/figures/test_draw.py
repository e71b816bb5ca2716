"""Every registered figure of any study: three files, legible, and equal bytes for equal measurements."""

import re

import matplotlib
import pandas as pd
import pytest
import synthetic
from matplotlib.collections import PolyCollection

from gengap import registry
from gengap.errors import UserError
from gengap.evidence import figures
from gengap.evidence.measurements import with_options
from gengap.studies.study import Figure

# The scoreboard takes both columns and more networks; tests/evidence/test_study_scoreboard.py draws it.
FIGURES = sorted(
    name for name, entry in registry.REGISTRY["figure"].items() if not entry.simulation and name != "scoreboard"
)
WIDTHS = {"model.width": [4, 8], "seed": [0, 1, 2]}
CELLS = [f"width={width},seed={seed}" for width in (4, 8) for seed in (0, 1, 2)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    return synthetic.collected(folder, synthetic.study(folder, WIDTHS), status={"width=4,seed=1": "dead"})


def draw(name, evidence, folder):
    files = [folder / f"{name}.{suffix}" for suffix in ("pdf", "png", "csv")]
    figures.draw(name, evidence, *files)
    return files


def texts(figure):
    figure.draw_without_rendering()
    return [text for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip() and text.get_visible()]


@pytest.mark.parametrize("name", FIGURES)
def test_equal_measurements_give_equal_bytes(tmp_path, monkeypatch, found, name):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    first = [path.read_bytes() for path in draw(name, found, tmp_path)]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1500000000")  # a creation date would show
    assert [path.read_bytes() for path in draw(name, found, tmp_path)] == first
    pdf, png, _ = first
    assert b"CreationDate" not in pdf
    assert b"/Type3" not in pdf
    assert len(png) < 300_000
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{name}.{x}" for x in ("pdf", "png", "csv"))


@pytest.mark.parametrize("name", FIGURES)
def test_the_csv_holds_the_plotted_numbers(tmp_path, found, name):
    csv = draw(name, found, tmp_path)[2]
    data = registry.load("figure", name).data(with_options(found, Figure(name=name)))
    written = pd.read_csv(csv, keep_default_na=False)
    pd.testing.assert_frame_equal(written, data, check_dtype=False, rtol=1e-7)


@pytest.mark.parametrize("name", FIGURES)
def test_text_is_legible_at_column_width_and_inside_the_figure(found, name):
    figure = figures.plot(name, found)
    assert figure.get_size_inches()[0] == pytest.approx(3.4)
    shown = texts(figure)
    for text in shown:
        assert text.get_fontsize() >= 6.5, text.get_text()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert drawn.x0 >= 0
    assert drawn.y0 >= 0
    assert drawn.x1 <= width
    assert drawn.y1 <= height
    assert any("left out: 1 dead" in text.get_text() for text in shown)
    assert any("2 to 3 seeds" in text.get_text() for text in shown)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(
    "grid",
    [
        {},
        {"seed": [0, 1]},
        {"init": ["he", "xavier"], "optimizer.lr": [0.1, 0.01], "seed": [0, 1]},
        {"model.width": [4, 8], "init": ["he", "xavier"], "optimizer.lr": [0.1, 0.01, 0.001], "seed": [0]},
    ],
    ids=["no axis", "seeds only", "no width", "many groups"],
)
def test_any_grid_can_be_drawn(tmp_path, name, grid):
    figure = figures.plot(name, synthetic.collected(tmp_path, synthetic.study(tmp_path, grid)))
    assert texts(figure)
    bands = [band for axes in figure.axes for band in axes.findobj(PolyCollection)]
    if len(grid.get("seed", [0])) == 1:
        assert not [band for band in bands if band.get_paths() and name != "layer_gradients"]


@pytest.mark.parametrize("name", FIGURES)
def test_a_study_without_a_finished_network_says_so(tmp_path, name):
    status = dict.fromkeys(CELLS, "diverged")
    found = synthetic.collected(tmp_path, synthetic.study(tmp_path, WIDTHS), status=status)
    words = " ".join(text.get_text() for text in texts(figures.plot(name, found)))
    assert re.search(r"no finished\s+network\s+\(\d diverged\)", words)


@pytest.mark.parametrize("name", FIGURES)
def test_the_style_does_not_leak(found, name):
    before = dict(matplotlib.rcParams)
    figures.plot(name, found)
    assert dict(matplotlib.rcParams) == before


def test_an_unknown_figure_is_named(tmp_path, found):
    with pytest.raises(UserError, match=r"unknown figure 'gradient_nrom'.*Did you mean 'gradient_norm'"):
        draw("gradient_nrom", found, tmp_path)
    assert not list(tmp_path.iterdir())
