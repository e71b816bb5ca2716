"""Figures of the survey's studies, of made-up evidence: their numbers, and a layout without faults."""

import numpy as np
import pandas as pd
import picture_layout
import pytest
import survey_evidence

from gengap.errors import UserError
from gengap.evidence import figures
from gengap.evidence.figures import (
    covariate_shift,
    first_epoch_errors,
    label_noise,
    layer_reset,
    loss_along_gradient,
    pre_activations,
    random_data,
    robustness_by_depth,
)
from gengap.evidence.measurements import with_options
from gengap.studies.study import Figure

SHARES = [("random_labels", share, "None", 10, 0.5) for share in ("0.0", "0.5", "1.0")]
PLAIN = "no BatchNorm"  # the arm of that name, in words
MADE = {
    "random_data": survey_evidence.fitting,
    "label_noise": survey_evidence.fitting,
    "first_epoch_errors": survey_evidence.starts,
    "robustness_by_depth": survey_evidence.layered,
    "loss_along_gradient": survey_evidence.landscapes,
    "covariate_shift": survey_evidence.landscapes,
    "pre_activations": survey_evidence.distributions,
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("width", [figures.COLUMN, pytest.param(figures.PAGE, marks=pytest.mark.thorough)])
def test_nothing_overlaps_or_leaves_the_figure(name, width):
    assert not picture_layout.faults(figures.plot(name, MADE[name](), width=width))


@pytest.mark.parametrize("name", ["loss_along_gradient", "covariate_shift"])
@pytest.mark.parametrize("width", [figures.COLUMN, pytest.param(figures.PAGE, marks=pytest.mark.thorough)])
def test_more_groups_than_colours_have_a_column_for_each_value_of_the_last_axis(name, width):
    found = survey_evidence.landscapes(rates=("0.1", "0.5"))
    figure = figures.plot(name, found, width=width)
    assert not picture_layout.faults(figure)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title.partition("  ")[2] for title in titles][:3] == ["learning rate 0.1", "learning rate 0.5", ""]
    assert "not shown" not in figure.get_suptitle()
    module = {"loss_along_gradient": loss_along_gradient, "covariate_shift": covariate_shift}[name]
    assert module.data(found).groupby("panel")["group"].nunique().tolist() == [3, 3]
    assert set(module.data(survey_evidence.landscapes())["panel"]) == {""}  # three groups have colours


def test_the_middle_layers_first_node_of_the_first_seed_is_drawn():
    data = pre_activations.data(survey_evidence.distributions())
    assert set(data["layer"]) == {"linear2"}
    assert set(data["seed"]) == {0}
    plain = data[data["group"] == PLAIN]
    assert plain["q50"].tolist() == plain["epoch"].tolist() == [0, 1, 2, 4]
    assert (plain["q97.5"] - plain["q2.5"]).tolist() == [4, 4, 4, 4]
    assert data.loc[data["group"] != PLAIN, "q50"].eq(0).all()
    lost = survey_evidence.distributions()
    first = [one for one in lost.found if one.rows["cell"].iloc[0] == "plain-None-0"]
    first[1].values[:] = np.nan
    assert pre_activations.data(lost).query("group == @PLAIN")["q50"].tolist() == [100, 101, 102, 104]


@pytest.mark.parametrize("width", [figures.COLUMN, figures.PAGE])
def test_distributions_at_two_rates_have_two_columns(width):
    figure = figures.plot("pre_activations", survey_evidence.distributions(rates=("0.1", "0.5")), width=width)
    assert not picture_layout.faults(figure)
    assert len(figure.axes) == 6


def words_of(name, evidence):
    """The title of a figure as one line, of a figure without faults of layout."""
    figure = figures.plot(name, evidence, width=figures.PAGE)
    assert not picture_layout.faults(figure)
    first = figure.axes[0]
    return " ".join(f"{figure.get_suptitle()} {first.get_title(loc='left')}".split())


def without(evidence, dropped):
    """The same evidence without the cells for which this is true."""
    cells = evidence.cells[[not dropped(cell) for cell in evidence.cells.to_dict("records")]]
    return survey_evidence.Given(**{**vars(evidence), "cells": cells.reset_index(drop=True)})


@pytest.mark.parametrize(
    ("name", "made", "said"),
    [
        ("random_data", survey_evidence.fitting, "1 share not shown (neither none nor all of the data is random)"),
        (
            "random_data",
            lambda: without(
                survey_evidence.fitting(), lambda one: (one["arm"], one["labels"]) == ("mlp", "noise_images")
            ),
            "1 network not shown (fewer than 5 kinds of data, or after the first 6)",
        ),
        ("label_noise", survey_evidence.fitting, "6 lines not shown (fewer than 3 shares)"),
        (
            "first_epoch_errors",
            lambda: without(survey_evidence.starts(), lambda one: one["arm"] == "one_epoch" and one["seed"] > 30),
            "2 groups not shown (fewer than 20 starts)",
        ),
        (
            "robustness_by_depth",
            lambda: deeper_alone(survey_evidence.layered()),
            "1 more group not shown",
        ),
    ],
)
def test_what_a_figure_cannot_draw_is_counted_in_the_picture(name, made, said):
    assert said in words_of(name, made())


def deeper_alone(evidence):
    """Beside networks of width 8 and several depths, some of width 16 and one depth."""
    more = evidence.cells[evidence.cells["depth"] == "4"].assign(width="16")
    more = more.assign(cell=[f"wide-{seed}" for seed in more["seed"]])
    return survey_evidence.Given(**{**vars(evidence), "cells": pd.concat([evidence.cells, more], ignore_index=True)})


def test_losses_are_means_of_each_network_on_each_kind_of_data():
    data = random_data.data(survey_evidence.fitting(dead=("mlp-noise_images-1.0-None-3",)))
    kinds = ["true data", "random labels", "noise images", "one permutation", "a permutation per image"]
    assert list(data["group"].unique()) == kinds  # half random labels are left out
    mine = data[(data["network"] == "small AlexNet") & (data["group"] == "random labels")].set_index("epoch")
    assert mine.loc[5.0, "mean"] == pytest.approx(np.exp(-5 / 80))
    assert set(data.loc[(data["network"] == "MLP") & (data["group"] == "noise images"), "n"]) == {4}


def test_a_point_of_noise_counts_the_seeds_that_reached_interpolation():
    data = label_noise.data(survey_evidence.fitting(never=("mlp-random_labels-0.5-None-2",)))
    assert list(data["group"].unique()) == ["MLP", "small AlexNet"]
    mine = data[(data["group"] == "MLP") & (data["quantity"] == "interpolation_epoch")].set_index("share")
    assert mine["n"].tolist() == [5, 4, 5]
    assert mine["seeds"].tolist() == [5, 5, 5]
    assert mine["mean"].tolist() == pytest.approx([12, 20 + 8 / 4, 42])
    errors = data[(data["group"] == "MLP") & (data["quantity"] == "test_error")].set_index("share")
    assert errors["mean"].tolist() == pytest.approx([10.2, 50.2, 90.2])


@pytest.mark.parametrize(
    ("never", "said"),
    [
        ((), ""),
        (("mlp-random_labels-0.5-None-2",), "1 of 6 points without a time"),
        (("mlp-random_labels-0.5-None-2", "mlp-random_labels-0.5-None-3"), "1 of 6 points without a time"),
        (("mlp-random_labels-0.5-None-2", "mlp-random_labels-1.0-None-0"), "2 of 6 points without a time"),
    ],
)
def test_points_of_noise_without_a_time_are_counted_in_the_picture(never, said):
    texts = words_of("label_noise", survey_evidence.fitting(never=never))
    assert said in texts
    assert ("without a time" in texts) == bool(never)


def test_sorted_errors_beside_their_null():
    data = first_epoch_errors.data(survey_evidence.starts())
    true, noise = (data[data["group"] == name] for name in ("true data", "random labels"))
    assert (true["wrong"] == 0).mean() == pytest.approx(0.25)
    assert (true["wrong"] == 100).mean() == pytest.approx(0.25)
    assert true["null"].between(20, 80).all()
    assert np.abs(noise["wrong"] - noise["null"]).mean() < 1.0  # percent: they are equally hard
    assert set(data["starts"]) == {40}


def test_a_rise_is_diluted_by_the_number_of_layers():
    data = robustness_by_depth.data(survey_evidence.layered())
    reset = data[data["quantity"] == "error_rise_after_reset"].set_index("depth")
    assert reset["mean"].tolist() == pytest.approx([20, 40 / 3, 8])
    assert reset["diluted"].tolist() == pytest.approx(reset["mean"].tolist())  # one layer alone matters
    redrawn = data[data["quantity"] == "error_rise_after_rerandomization"].set_index("depth")
    assert redrawn["mean"].tolist() == pytest.approx([60, 60, 60])
    assert redrawn["diluted"].tolist() == pytest.approx([60, 40, 24])


def test_arms_choose_the_panels_of_layer_reset():
    made = survey_evidence.layered()
    cells = made.cells.assign(arm=["deepest" if depth == "4" else "shallow" for depth in made.cells["depth"]])
    made = survey_evidence.Given(**{**vars(made), "cells": cells, "study": {**made.study, "axes": ["arm", "seed"]}})
    chosen = with_options(made, Figure.model_validate({"name": "layer_reset", "arms": ["deepest"]}))
    data = layer_reset.data(chosen)
    assert set(data["group"]) == {"deepest"}
    assert data[(data["layer"] == "linear1") & (data["reset"] == "0")]["mean"].item() == pytest.approx(50.2)
    with pytest.raises(UserError, match=r"arms: wide is not all in `grid`\. Choose from: deepest, shallow"):
        layer_reset.data(with_options(made, Figure.model_validate({"name": "layer_reset", "arms": ["wide"]})))


def test_the_landscape_is_drawn_over_training():
    data = loss_along_gradient.data(survey_evidence.landscapes())
    highest = data[data["quantity"] == "highest_loss_along_gradient"]
    assert highest.groupby("group", sort=False)["mean"].first().tolist() == pytest.approx([2.0, 1.1, 1.2])
    shift = covariate_shift.data(survey_evidence.landscapes())
    assert set(shift["place"]) == {"middle layer", "last layer"}
    norm = shift[shift["quantity"] == "covariate_shift"]
    assert set(zip(norm["min"], norm["mean"], norm["max"], strict=True)) == {(1.0, 3.0, 5.0)}


@pytest.mark.parametrize(
    ("module", "made", "said"),
    [
        (label_noise, survey_evidence.landscapes, "no network was trained on 3 shares"),
        (first_epoch_errors, lambda: survey_evidence.starts(n_starts=10), "fewer than 20 networks"),
        (robustness_by_depth, lambda: survey_evidence.layered(depths=(2,)), "no networks of several depths"),
        (robustness_by_depth, survey_evidence.fitting, "was not measured. List 'layer_reset'"),
        (loss_along_gradient, survey_evidence.fitting, "was not measured. List 'landscape'"),
    ],
)
def test_what_is_missing_is_named(module, made, said):
    with pytest.raises(UserError, match=said):
        module.data(made())
