"""Which groups share a panel, and that a picture tells them apart in colour and in grey."""

import dataclasses
import itertools

import matplotlib.colors
import matplotlib.style
import numpy as np
import pandas as pd
import picture_layout
import pytest
import survey_evidence
from matplotlib.figure import Figure
from matplotlib.text import Text

from gengap.evidence import figures
from gengap.evidence.figures import accuracy_by_width, learning_curves
from gengap.evidence.figures.drawing import depths, handle, legend, palette, panels, unfinished
from gengap.evidence.figures.groups import description, first_columns, in_columns, labelled

OPTIMISERS = ("adam", "sgd", "sgd_momentum", "adagrad", "adamw")
SIZES = ("128", "512", "1024", "2048", "4096", "8192")
INITS = ("he", "balanced:geo", "balanced:out", "balanced:max", "balanced:min", "balanced:geo+gamma")
BATCHES = {"arm": OPTIMISERS, "batch_size": ("16", "200")}
RATES = {"arm": ("plain", "batchnorm", "noisy"), "lr": ("0.1", "0.5")}
SETS = {"dataset": ("mnist", "fashion_mnist"), "batch_size": SIZES}
MANY = {"arm": tuple(f"arm_{number}" for number in range(11))}


def evidence(grid, *, together=()):
    """Learning curves of two seeds of every cell of a grid; axes of `together` rise together."""
    cells, history = [], []
    for values in itertools.product(*grid.values(), (0, 1)):
        cell = dict(zip([*grid, "seed"], values, strict=True))
        if len({grid[axis].index(cell[axis]) for axis in together}) > 1:
            continue
        name = ",".join(f"{axis}={value}" for axis, value in cell.items())
        cells.append({"cell": name, **cell})
        for epoch, (split, start) in itertools.product(range(4), (("train", 0.5), ("test", 0.4))):
            accuracy = start + 0.1 * epoch + 0.01 * cell["seed"]
            measured = {"accuracy": accuracy, "loss": 1 - accuracy}
            history += [(name, float(epoch), f"{split}_{key}", value, "running") for key, value in measured.items()]
    return survey_evidence.evidence(cells, list(grid), history=history)


@pytest.mark.parametrize(
    ("grid", "panels", "groups"),
    [
        (BATCHES, 5, ["batch size 16", "batch size 200"]),  # rather than two panels of five optimisers
        (RATES, 2, ["no BatchNorm", "BatchNorm", "noisy BatchNorm"]),
        (SETS, 2, [f"batch size {size}" for size in SIZES]),  # steps of one number
        ({"batch_size": SIZES[:5]}, 1, [f"batch size {size}" for size in SIZES[:5]]),
        ({"init": INITS}, 1, None),  # six panels of one line could not be compared
        ({"width": ("4", "64"), "init": ("he", "xavier"), "lr": ("0.1", "0.01", "0.001")}, 3, None),
        (MANY, 11, ["all cells"]),
    ],
)
def test_groups_that_can_be_told_apart_share_a_panel(grid, panels, groups):
    found = in_columns(evidence(grid), 12)
    by_panel = found.groupby("panel", sort=False)["group"].unique()
    assert len(by_panel) == panels
    assert len({tuple(names) for names in by_panel}) == 1
    if groups:
        assert list(by_panel.iloc[0]) == groups
    assert len(found) == len(evidence(grid).cells)


def test_axes_that_rise_together_are_steps_of_one_number():
    grid = {**SETS, "epochs": ("1", "4", "8", "16", "32", "64")}
    found = in_columns(evidence(grid, together=("batch_size", "epochs")), 12)
    assert list(found.groupby("panel", sort=False)["group"].nunique()) == [6, 6]


def test_groups_without_room_are_counted():
    made = evidence(MANY)
    found = in_columns(made, 3)  # three columns would show three of the eleven
    shown = first_columns(found, 3)
    assert set(shown["panel"]) == {""}
    assert shown["group"].nunique() == 6
    assert description(shown, made, of=found) == "2 seeds; 5 more groups not shown"


@pytest.mark.parametrize(("widths", "said"), [(("4", "8", "64"), "1 width"), (("4", "8", "16", "64"), "2 widths")])
def test_widths_without_room_are_counted(widths, said):
    made = evidence({"width": widths})
    assert description(labelled(made, extremes=True), made, extremes=True) == f"2 seeds; {said} between not shown"
    some = labelled(made)
    assert "not shown" not in description(some[some["width"] == "4"], made)  # a choice of the study's


@pytest.mark.parametrize("grid", [BATCHES, RATES, SETS, {"init": INITS}, MANY])
@pytest.mark.parametrize("width", [figures.COLUMN, pytest.param(figures.PAGE, marks=pytest.mark.thorough)])
def test_learning_curves_of_many_groups_are_legible(grid, width):
    figure = figures.plot("learning_curves", evidence(grid), width=width)
    assert not picture_layout.faults(figure)


def test_two_batch_sizes_are_lines_of_one_panel():
    with matplotlib.style.context(figures.STYLE):
        figure = learning_curves.plot(learning_curves.data(evidence(BATCHES)), evidence(BATCHES))
    accuracies = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in accuracies] == [name.replace("_", " ") for name in OPTIMISERS]
    assert {len(axes.lines) for axes in accuracies} == {4}  # train and test of both
    assert all(len({line.get_color() for line in axes.lines}) == 2 for axes in accuracies)


@pytest.mark.parametrize(("lowest", "bottom"), [(98.0, 91.0), (89.0, None)])
def test_accuracies_that_all_end_high_are_told_apart(lowest, bottom):
    made = evidence(BATCHES)
    data = learning_curves.data(made)
    ends = data["quantity"].str.endswith("accuracy") & (data["epoch"] == data["epoch"].max())
    data.loc[ends, "mean"] = 99.0
    data.loc[ends & (data["quantity"] == "test_accuracy"), "mean"] = lowest
    with matplotlib.style.context(figures.STYLE):
        figure = learning_curves.plot(data, made)
    found = next(axes for axes in figure.axes if axes.get_ylabel().startswith("accuracy")).get_ylim()[0]
    assert found == bottom if bottom else found < 80


@pytest.mark.parametrize(("lost", "lines"), [(["dead"] * 5, 3), (["dead", "stuck", "stuck", "diverged"], 5)])
def test_why_nothing_finished_fits_into_a_small_panel(lost, lines):
    panel = Figure().subplots()
    unfinished([panel], pd.DataFrame({"cell": map(str, range(len(lost))), "status": lost}), narrow=True)
    (text,) = (text.get_text() for text in panel.texts)
    assert len(text.split("\n")) == lines
    assert max(map(len, text.split("\n"))) <= 20


def test_a_panel_of_finished_networks_that_were_not_measured_says_so():
    panel = Figure().subplots()
    unfinished([panel], pd.DataFrame({"cell": ["0", "1"], "status": "finished"}), narrow=True)
    assert [text.get_text() for text in panel.texts] == ["not measured"]


@pytest.mark.parametrize("number", [5, 6, 8])
def test_more_groups_than_colours_are_told_apart_in_colour_and_in_grey(number):
    names = [f"group {place}" for place in range(number)]
    for colors in (palette(names), depths(names)):
        rgb = np.array([matplotlib.colors.to_rgb(color) for color in colors.values()])
        assert (np.diff(rgb @ [0.299, 0.587, 0.114]) > 0.05).all()  # from dark to light
        assert (rgb.max(axis=1) - rgb.min(axis=1) > 0.1).all()  # none is grey


def test_a_legend_of_long_names_takes_less_than_a_quarter_of_the_height():
    grid = {"init": INITS, "augmentation": ("a_rather_long_name_of_an_augmentation",)}
    long = {"arm": tuple(f"a_rather_long_name_of_setting_number_{number}" for number in range(6))}
    for made in (evidence(grid), evidence(long)):
        figure = figures.plot("learning_curves", made, width=figures.COLUMN)
        assert not picture_layout.faults(figure)


@pytest.mark.parametrize(
    "names",
    [
        ("layer 1", "layer 2", "layer 3", "layer 4", "chance"),
        ("he", "balanced:geo", "default", "teacher's own"),
        tuple(f"width {2**power}" for power in range(9)),
        ("a name that alone takes much of the width of it",),
    ],
)
@pytest.mark.parametrize("wide", [False, True])
def test_a_legend_stays_within_the_frame(names, wide):
    with matplotlib.style.context(figures.STYLE):
        figure, _ = panels(1, 1, height=2.0, wide=wide)
        legend(figure, [handle(name, color="C0") for name in names], below=True)
        assert not [fault for fault in picture_layout.faults(figure) if "leaves the frame" in fault]


def test_accuracy_by_width_joins_the_axes_that_would_make_too_many_groups():
    """Of 27 groups, three sets of data keep a colour each; the widths' means and quarters are those of all others."""
    grid = {"dataset": ("cifar10", "fashion_mnist", "mnist"), "lr": ("0.1", "0.2", "0.3"), "batch_size": SIZES[:3]}
    made = evidence({**grid, "width": ("4", "64")})
    cells = made.cells.assign(train_accuracy=np.linspace(0.2, 1.0, len(made.cells)), test_accuracy=0.5)
    made = dataclasses.replace(made, cells=cells)
    drawn = accuracy_by_width.data(made)
    assert list(drawn["group"].unique()) == ["CIFAR-10", "Fashion-MNIST", "MNIST"]
    assert set(drawn["statistic"]) == {"mean", "quarter", "three quarters"}
    own = cells[(cells["dataset"] == "mnist") & (cells["width"] == "64")]
    one = drawn[(drawn["group"] == "MNIST") & (drawn["x"] == 64) & (drawn["split"] == "train")]
    expected = 100 * own["train_accuracy"]
    assert dict(zip(one["statistic"], one["value"], strict=True)) == pytest.approx(
        {"mean": expected.mean(), "quarter": expected.quantile(0.25), "three quarters": expected.quantile(0.75)}
    )
    assert set(one["n"]) == {len(own)}
    figure = figures.plot("accuracy_by_width", made)
    assert any("joined: learning rate, batch size" in text.get_text() for text in figure.findobj(Text))
    assert not picture_layout.faults(figure)


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        (
            ["batch size 128", "batch size 8192", "batch size 512"],
            ["batch size 128", "batch size 512", "batch size 8192"],
        ),
        (["samples 24, noise 0.5", "samples 24, noise 0", "samples 4, noise 1"], [2, 1, 0]),
        (["rate 0.1", "rate 1e-3", "rate -2"], [2, 1, 0]),
        (["width 8", "depth 2"], [0, 1]),
        (["momentum 0.9", "no momentum"], [0, 1]),
        (["CIFAR-100, batch size 2", "CIFAR-10, batch size 1"], [0, 1]),
        (["Conv-6", "Conv-4"], [0, 1]),
        (["0.10", "0.2"], [0, 1]),
    ],
)
def test_names_that_differ_in_numbers_alone_are_in_their_order(given, drawn):
    assert list(palette(given)) == [given[one] if isinstance(one, int) else one for one in drawn]
