"""Figures of simulations: the numbers they plot, legible, equal bytes, and every grid that can be drawn."""

import math

import drawn
import matplotlib
import numpy as np
import pandas as pd
import picture_layout
import pytest
import synthetic

from gengap import registry
from gengap.errors import UserError
from gengap.evidence import figures
from gengap.evidence.figures import (
    gradient_by_depth,
    gradient_ratio_by_width,
    singular_value_distribution,
    smallest_singular_value,
)

CONTENT = {
    "smallest_singular_value": drawn.MATRICES,
    "singular_value_distribution": drawn.MATRICES,
    "gradient_ratio_by_width": drawn.GRADIENTS,
    "gradient_by_depth": drawn.RESNETS,
    "near_teacher": drawn.STUDENTS,
    "rate_ratio": drawn.REGRESSIONS,
    "learning_order": drawn.ORDERS,
    "feature_risk": drawn.FEATURES,
    "forest_risk": drawn.FORESTS,
    "rate_by_width": drawn.RATES,
    "barrier_by_width": drawn.MINIMA,
    "xor_by_size": drawn.XOR,
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    contents = {content["title"]: content for content in CONTENT.values()}  # two figures show the same
    made = {title: drawn.collected(tmp_path_factory.mktemp("drawn"), content) for title, content in contents.items()}
    return {name: made[content["title"]] for name, content in CONTENT.items()}


@pytest.fixture(scope="module", params=CONTENT)
def pictures(request, found, tmp_path_factory):
    """Every figure, drawn once for all tests of it."""
    return picture_layout.drawn(request.param, found[request.param], tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return synthetic.collected(folder, synthetic.study(folder, probes=[]), probes=("performance",))


def test_every_figure_of_a_simulation_is_tested_here():
    """But that of networks whose file nobody downloads: `tests/simulations/test_pretrained_biases.py`."""
    assert {*CONTENT, "pretrained_biases"} == {
        name for name, entry in registry.REGISTRY["figure"].items() if entry.simulation
    }


def test_means_ranges_and_limits_of_the_matrices(found):
    evidence = found["smallest_singular_value"]
    data = smallest_singular_value.data(evidence)
    assert len(data) == 8
    for row in data.to_dict("records"):
        pack = "distribution={distribution},rows={rows},columns={columns}".format(**row)
        values = evidence.cells.loc[evidence.cells["pack"] == pack, "smallest_singular_value"]
        assert (row["n"], row["min"], row["max"]) == (6, values.min(), values.max())
        assert row["mean"] == pytest.approx(values.mean())
    limits = data.set_index(["distribution", "rows", "columns"])["limit"]
    assert limits["normal", 40, 5] == pytest.approx(math.sqrt(40) - math.sqrt(5))
    assert limits["uniform", 40, 30] == pytest.approx((math.sqrt(40) - math.sqrt(30)) / math.sqrt(12))
    # Edelman's density of n sigma_min^2, integrated numerically.
    t = np.linspace(1e-6, 12, 200_001)
    mean = np.trapezoid(t * (1 + t) * np.exp(-(t**2) / 2 - t), t)
    assert limits["normal", 30, 30] == pytest.approx(mean / math.sqrt(30), rel=1e-6)


def test_histograms_hold_every_singular_value_once(found):
    evidence = found["singular_value_distribution"]
    data = singular_value_distribution.data(evidence)
    spectra = {array.values.shape: array for array in evidence.arrays("matrix_singular_values")}
    assert set(spectra) == {(6, 5), (2, 30)}
    for (distribution, rows, columns), part in data.groupby(["distribution", "rows", "columns"]):
        draws = 6 if columns == 5 else 2
        assert set(part["draws"]) == {draws}
        counts = part["density"] * (part["high"] - part["low"]) * draws * min(rows, columns)
        np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
        assert counts.sum() == pytest.approx(draws * min(rows, columns))
        assert (part["low"].to_numpy()[1:] == part["high"].to_numpy()[:-1]).all()
        # Uniform entries have mean 1/2: one value per matrix is far outside.
        outside = counts[part["high"] > singular_value_distribution.END]
        assert outside.sum() == pytest.approx(draws if distribution == "uniform" else 0)
        within = part["high"] <= singular_value_distribution.END
        assert (part["law"] * (part["high"] - part["low"]))[within].sum() == pytest.approx(1)


def test_the_last_bin_ends_at_the_largest_value(found):
    evidence = found["singular_value_distribution"]
    data = singular_value_distribution.data(evidence)
    wanted = "distribution=uniform,rows=40,columns=30,seed=0"
    (values,) = (a.values for a in evidence.arrays("matrix_singular_values") if wanted in set(a.rows["cell"]))
    size = data[(data["distribution"] == "uniform") & (data["rows"] == 40) & (data["columns"] == 30)]
    assert size["high"].iloc[-1] == pytest.approx(values.max() * math.sqrt(12 / 40))


def test_statistics_of_the_gradients(found):
    evidence = found["gradient_ratio_by_width"]
    data = gradient_ratio_by_width.data(evidence)
    assert list(data["group"]) == ["in width, out width"] * 3 + ["in 3, out 1"]
    assert list(data["width"]) == [1, 2, 4, 4]
    values = evidence.cells.loc[evidence.cells["input_size"] == "3", "gradient_ratio"]
    last = data.iloc[-1]
    assert (last["mean"], last["median"], last["variance"]) == pytest.approx(
        (values.mean(), values.median(), values.var())
    )
    assert last["median_low"] <= last["median"] <= last["median_high"]


def test_layers_of_the_resnets_along_their_depth(found):
    evidence = found["gradient_by_depth"]
    data = gradient_by_depth.data(evidence)
    assert data.groupby(["norm", "block"], sort=False).size().tolist() == [37, 34, 37, 34]
    assert set(data["n"]) == {2}
    plain = data[(data["norm"] == "none") & (data["block"] == "plain")]
    assert plain["depth"].tolist() == list(range(1, 35))
    assert plain["layer"].tolist()[:4] == ["conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1"]
    beside = data[data["shortcut"] & (data["norm"] == "none")].set_index("layer")["depth"].to_dict()
    assert beside == {"layer2.0.downsample.0": 9, "layer3.0.downsample.0": 17, "layer4.0.downsample.0": 29}
    cells = evidence.cells.query("norm == 'none' and block == 'plain'")
    rows = evidence.measurements.merge(cells[["cell", "seed"]], on="cell")
    values = rows[(rows["quantity"] == "layer_gradient_norm") & (rows["layer"] == "fc")]["value"]
    last = plain.iloc[-1]
    assert (last["median"], last["min"], last["max"]) == pytest.approx((values.mean(), values.min(), values.max()))
    ratio = (plain["max"].max() / plain["min"].min(), plain["min"].max() / plain["max"].min())
    assert ratio[1] <= cells["gradient_ratio"].min() <= cells["gradient_ratio"].max() <= ratio[0]


def test_it_is_saved_in_two_formats_and_widths_with_the_plotted_numbers(pictures):
    assert [kind for _, kind in pictures.saved.values()] == ["pdf", "png", "pdf", "png"]
    pd.testing.assert_frame_equal(pd.read_csv(pictures.csv), pictures.data, check_dtype=False, rtol=1e-7)


@pytest.mark.thorough
def test_equal_measurements_give_equal_pictures(pictures, found):
    name = pictures.csv.stem
    again = figures.plot(name, found[name], width=figures.PAGE)
    assert picture_layout.vectors(pictures.of_width(figures.PAGE)) == picture_layout.vectors(again)


@pytest.mark.parametrize("width", [figures.COLUMN, pytest.param(figures.PAGE, marks=pytest.mark.thorough)])
def test_nothing_overlaps_or_leaves_the_figure_and_text_is_legible(pictures, width):
    figure = pictures.of_width(width)
    assert figure.get_size_inches()[0] == pytest.approx(width)
    assert not picture_layout.faults(figure)
    shown = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in shown) >= 6.5
    assert any("draws of every" in text.get_text() for text in shown)


@pytest.mark.parametrize(
    ("name", "base", "grid"),
    [
        ("smallest_singular_value", {}, {"distribution": ["lognormal"], "rows": [9], "columns": [4], "seed": [0]}),
        ("singular_value_distribution", {"spectrum_values": 1}, {"rows": [9], "columns": [4], "seed": [0]}),
        ("singular_value_distribution", {"spectrum_values": 1}, {"rows": [1], "columns": [1], "seed": [0]}),
        (
            "singular_value_distribution",
            {"spectrum_values": 9},
            {"distribution": ["lognormal"], "rows": [1, 2, 3, 9, 20], "columns": [4, 9], "seed": [0]},
        ),
        ("gradient_ratio_by_width", {"batch_size": 4}, {"width": [2], "seed": [0]}),
        ("gradient_ratio_by_width", {"batch_size": 4}, {"width": [1, 2], "seed": [0, 1]}),
        ("gradient_by_depth", {"batch_size": 1}, {"block": ["plain"], "seed": [0]}),
    ],
    ids=[
        "one matrix",
        "one spectrum",
        "one number",
        "many shapes",
        "one network",
        "one kind of network",
        "one plain ResNet",
    ],
)
def test_small_grids_can_be_drawn(tmp_path, name, base, grid):
    simulated = registry.check("figure", name).simulation
    content = {"title": "t", "base": {"simulation": simulated, **base}, "grid": grid}
    figures.plot(name, drawn.collected(tmp_path, content)).draw_without_rendering()


@pytest.mark.parametrize("name", CONTENT)
def test_networks_are_refused(networks, name):
    with pytest.raises(UserError, match="was not measured"):
        figures.plot(name, networks)
