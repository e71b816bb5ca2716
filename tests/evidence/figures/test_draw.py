"""Every registered figure of any study: three files, legible, and equal bytes for equal measurements."""

import functools
import re

import matplotlib.style
import pandas as pd
import picture_layout
import pytest
import synthetic
from matplotlib.collections import PolyCollection

from gengap import layout, registry
from gengap.errors import UserError
from gengap.evidence import figures

# The scoreboard takes both columns and more networks, tests/evidence/test_study_scoreboard.py draws it; others compare
# two batch sizes, in test_rates_figures.py, random data, depths or landscapes, in test_survey_figures.py, or sizes of
# networks and subspaces, in test_size_figures.py.
APART = ("scoreboard", "batch_readings", "sharpness_contrast")
APART += ("random_data", "label_noise", "first_epoch_errors", "robustness_by_depth")
APART += ("loss_along_gradient", "covariate_shift", "network_risk", "accuracy_by_subspace", "intrinsic_by_size")
APART += ("pre_activations",)
FIGURES = sorted(
    name for name, entry in registry.REGISTRY["figure"].items() if not entry.simulation and name not in APART
)
WIDTHS = {"model.width": [4, 8], "seed": [0, 1, 2]}
CELLS = [f"width={width},seed={seed}" for width in (4, 8) for seed in (0, 1, 2)]
GRIDS = {
    "no axis": {},
    "no width": {"init": ["he", "xavier"], "optimizer.lr": [0.1, 0.01], "seed": [0, 1]},
    "many groups": {
        "model.width": [4, 8],
        "init": ["he", "xavier"],
        "optimizer.lr": [0.1, 0.01, 0.001],
        "seed": [0],
    },
}


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """The evidence of a grid, made once for all figures."""

    @functools.cache
    def make(name):
        folder = tmp_path_factory.mktemp("results")
        if name in GRIDS:
            return synthetic.collected(folder, synthetic.study(folder, GRIDS[name]))
        status = {"one dead": {"width=4,seed=1": "dead"}, "all diverged": dict.fromkeys(CELLS, "diverged")}[name]
        return synthetic.collected(folder, synthetic.study(folder, WIDTHS), status=status)

    return make


@pytest.fixture(scope="module")
def found(collected):
    return collected("one dead")


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request, found, tmp_path_factory):
    """Every figure, drawn once for all tests of it."""
    return picture_layout.drawn(request.param, found, tmp_path_factory.mktemp("drawn"))


def draw(name, evidence, folder):
    files = {
        key: folder / path.relative_to("results/made/figures")
        for key, path in layout.figure_files("made", name).items()
    }
    figures.draw(name, evidence, files)
    return [files[key] for key in ("pdf", "png", "csv", "page_pdf", "page_png")]


def texts(figure):
    figure.draw_without_rendering()
    return [text for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip() and text.get_visible()]


# What is written does not depend on the figure; this one has formulas, lines and bands.
def test_equal_measurements_give_equal_bytes(tmp_path, monkeypatch, found):
    name = "gradient_norm"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    before = dict(matplotlib.rcParams)
    first = [path.read_bytes() for path in draw(name, found, tmp_path)]
    assert dict(matplotlib.rcParams) == before  # the style does not leak
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1500000000")  # a creation date would show
    assert [path.read_bytes() for path in draw(name, found, tmp_path)] == first
    for pdf, png in (first[0:2], first[3:5]):
        assert pdf.startswith(b"%PDF")
        assert png.startswith(b"\x89PNG")
        assert b"CreationDate" not in pdf
        assert b"/Type3" not in pdf
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    assert written == {f"{name}.pdf", f"{name}.png", f"{name}.csv", f"page/{name}.pdf", f"page/{name}.png"}


def test_it_is_saved_in_two_formats_and_widths_with_the_plotted_numbers(drawn):
    name = drawn.csv.stem
    kinds = {path: kind for path, (_, kind) in drawn.saved.items()}
    pages = {f"page/{name}.{kind}": kind for kind in ("pdf", "png")}
    assert kinds == {f"{name}.{kind}": kind for kind in ("pdf", "png")} | pages
    written = pd.read_csv(drawn.csv, keep_default_na=False)
    pd.testing.assert_frame_equal(written, drawn.data, check_dtype=False, rtol=1e-7)


@pytest.mark.thorough
def test_equal_measurements_give_equal_pictures(drawn, found):
    again = figures.plot(drawn.csv.stem, found, width=figures.PAGE)
    assert picture_layout.vectors(drawn.of_width(figures.PAGE)) == picture_layout.vectors(again)


@pytest.mark.parametrize("width", [figures.COLUMN, pytest.param(figures.PAGE, marks=pytest.mark.thorough)])
def test_nothing_overlaps_or_leaves_the_figure_and_text_is_legible(tmp_path, drawn, width):
    figure = drawn.of_width(width)
    assert figure.get_size_inches()[0] == pytest.approx(width)
    assert not picture_layout.faults(figure)
    shown = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip() and text.get_visible()]
    for text in shown:
        assert text.get_fontsize() >= 6.5, text.get_text()
    assert any("left out: 1 dead" in text.get_text() for text in shown)
    assert any("2 to 3 seeds" in text.get_text() for text in shown)
    if width == figures.PAGE:  # the larger file
        figure.set_layout_engine("none")  # it is laid out
        with matplotlib.style.context(figures.STYLE):
            figures.save(figure, tmp_path / "picture.png", "png")
        assert (tmp_path / "picture.png").stat().st_size < 500_000


@pytest.mark.thorough
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("grid", GRIDS)
def test_any_grid_can_be_drawn(collected, name, grid):
    figure = figures.plot(name, collected(grid))
    assert not picture_layout.faults(figure)
    bands = [band for axes in figure.axes for band in axes.findobj(PolyCollection)]
    if len(GRIDS[grid].get("seed", [0])) == 1:
        assert not [band for band in bands if band.get_paths() and name != "layer_gradients"]


@pytest.mark.parametrize("name", FIGURES)
def test_a_study_without_a_finished_network_says_so(collected, name):
    words = " ".join(text.get_text() for text in texts(figures.plot(name, collected("all diverged"))))
    assert re.search(r"no finished\s+network\s+\(\d diverged\)", words)


def test_an_unknown_figure_is_named(tmp_path, found):
    with pytest.raises(UserError, match=r"unknown figure 'gradient_nrom'.*Did you mean 'gradient_norm'"):
        draw("gradient_nrom", found, tmp_path)
    assert not list(tmp_path.iterdir())
