"""Figures, tables and claims along the size: parameters, subspaces, weights left; of made-up numbers that are known."""

from dataclasses import replace

import made_up
import matplotlib.style
import numpy as np
import pandas as pd
import picture_layout
import pytest

from gengap.errors import UserError
from gengap.evidence import figures
from gengap.evidence.double_descent import capacities, peak
from gengap.evidence.explanations import explained
from gengap.evidence.figures import accuracy_by_subspace, intrinsic_by_size, lottery_curves, network_risk
from gengap.evidence.lottery_arms import arm_of, kind_of
from gengap.evidence.tables import explanations, intrinsic_dimensions, lottery_tickets, survey_claims

SEEDS = range(5)
LATE = {"test_loss": -1.0, "test_accuracy": 1.0}


def networks():
    """A peak of loss 10 at 100 parameters, for 10 images of 10 classes; 0.1 at 10 and 0.01 at 1,000."""
    rows = [(10, 0.1, 0.3), (30, 0.2, 0.4), (100, 10.0, 0.8), (1000, 0.01, 0.1)]
    cells = [
        {
            "arm": f"{start}_{size}",
            "random_share": "0.2",
            "seed": seed,
            "n_parameters": size,
            "train_loss": loss / 2,
            "test_loss": loss * (1 + 0.01 * seed),
            "train_error": error / 2,
            "test_error": error,
        }
        for start in ("fresh", "reused")
        for size, loss, error in rows
        for seed in SEEDS
        if start == "fresh" or size <= 100
    ]
    return made_up.evidence(
        cells, ["arm", "random_share"], fixed={"train_size": "10"}, data={"mnist": {"n_classes": 10}}
    )


def test_peaks_and_second_descents():
    made = networks()
    cells = capacities(made)
    assert set(cells["threshold"]) == {100}
    assert set(cells["group"]) == {
        f"{start}, 20 % label noise" for start in ("from new weights", "from the smaller network")
    }
    table = survey_claims.table(made).set_index(["claim", "networks"])
    afresh = "kind from new weights, 20 % label noise"
    reused = "kind from the smaller network, 20 % label noise"
    assert table.loc[("the test loss rises up to the threshold", afresh), "effect"] == pytest.approx(2)
    assert table.loc[("the test loss falls beyond the threshold", afresh), "effect"] == pytest.approx(3)
    better = table.loc[("the largest size does better than the best below the threshold", afresh)]
    assert (better["effect"], better["verdict"]) == (pytest.approx(0.2), "holds")
    assert table.loc[("the test loss falls beyond the threshold", reused), "n"] == 0
    both = "kind from the smaller network up to the threshold, from new weights beyond, 20 % label noise"
    assert table.loc[("the test loss rises up to the threshold", both), "effect"] == pytest.approx(2)
    assert table.loc[("the test loss falls beyond the threshold", both), "effect"] == pytest.approx(3)


def test_a_peak_is_read_at_the_size_closest_to_the_threshold():
    found = peak(pd.Series([3.0, 1.0, 9.0, 5.0, 2.0], index=[10.0, 50.0, 96.0, 110.0, 400.0]), 100)
    assert found == {"at": 9.0, "below": 1.0, "above": 2.0}
    short = peak(pd.Series([3.0, 9.0], index=[50.0, 100.0]), 100)
    assert np.isnan(short["above"])


def subspaces():
    """Networks whose whole accuracy is 0.95: 0.9 is reached at 20 of 1,000 weights, 90 % of the whole at 10."""
    rows = {"None": 0.95, "5": 0.5, "10": 0.86, "20": 0.91}
    kinds = {"fc": 1.0, "fc_pixels": 0.99, "fc_labels": 0.5}
    cells = [
        {
            "arm": arm,
            "subspace": d,
            "seed": seed,
            "n_parameters": 1000,
            "train_accuracy": value if arm == "fc_labels" else 1.0,
            "test_accuracy": value * scale,
        }
        for arm, scale in kinds.items()
        for d, value in rows.items()
        for seed in SEEDS
    ]
    cells += [
        {"arm": "small_2", "subspace": "None", "seed": seed, "n_parameters": 30}
        | {"train_accuracy": 0.6, "test_accuracy": 0.6 + 0.001 * seed}
        for seed in SEEDS
    ]
    return made_up.evidence(cells, ["arm", "subspace"])


def test_intrinsic_dimensions_by_both_thresholds():
    table = intrinsic_dimensions.table(subspaces()).set_index("arm")
    assert list(table.index) == ["fc", "fc_pixels", "fc_labels"]
    assert table["d_absolute"].tolist() == pytest.approx([20, 20, 20])
    assert table["d_relative"].tolist() == pytest.approx([10, 10, 10])
    assert table["whole_network_accuracy"].tolist() == pytest.approx([95, 94.05, 95])  # of random labels: train
    claims = survey_claims.table(subspaces()).set_index(["claim", "networks"])
    few = claims.loc["most directions play no role"]
    assert few.loc["arm fc", "effect"].tolist() == pytest.approx([np.log10(100 / 20), np.log10(100 / 10)])
    assert claims.loc["random labels need a larger subspace", "effect"].tolist() == [0, 0]
    small = claims.loc[("a subspace beats a small network", "arm fc, small small_2, values 30, d 20")]
    assert small["effect"] == pytest.approx(0.91 - 0.602)


def test_a_threshold_that_no_size_reaches_is_counted():
    made = subspaces()
    made.cells.loc[made.cells["subspace"] == "20", "test_accuracy"] = 0.89
    table = intrinsic_dimensions.table(made).set_index("arm")
    assert table.loc["fc", "not_reached_absolute"] == 5
    assert np.isnan(table.loc["fc", "d_absolute"])
    assert table.loc["fc_labels", "not_reached_absolute"] == 0


def networks_of_three_sizes():
    """Of 100, 1,000 and 10,000 weights, which need 10, 20 and 20 directions for 90 %, and 10 for 90 % of the whole."""
    reached = {(1, 10): (0.9, 0.95), (1, 100): (0.89, 0.95), (2, 100): (0.89, 0.95)}
    cells = [
        {
            "depth": str(depth),
            "width": str(width),
            "subspace": d,
            "seed": seed,
            "n_parameters": depth**2 * 25 * width if depth == 2 else 10 * width,
            "train_accuracy": 1.0,
            "test_accuracy": accuracy,
        }
        for (depth, width), (at_10, at_20) in reached.items()
        for d, accuracy in (("None", 0.98), ("10", at_10), ("20", at_20))
        for seed in SEEDS
    ]
    return made_up.evidence(cells, ["depth", "width", "subspace"])


def test_the_factor_in_intrinsic_dimension_is_set_against_that_in_weights():
    claims = survey_claims.table(networks_of_three_sizes())
    found = claims[claims["claim"] == "the intrinsic dimension hardly depends on the size"].set_index("effect_is")
    by_threshold = [
        found.loc[f"log10 of the factor in weights over that in d, {name} threshold", "effect"]
        for name in ("absolute", "relative")
    ]
    assert by_threshold == pytest.approx([2 - np.log10(2), 2])
    assert set(found["networks"]) == {"networks 3"}
    assert (claims["claim"] == "most directions play no role").sum() == 6
    points = intrinsic_by_size.data(networks_of_three_sizes())
    assert points["weights"].tolist() == [100, 1000, 10_000] * 2
    assert points["median"].tolist() == [10, 20, 20, 10, 10, 10]


def test_a_network_that_never_reaches_the_threshold_gives_no_factor():
    made = networks_of_three_sizes()
    of_one = (made.cells["width"] == "10") & (made.cells["seed"] == 0)
    made.cells.loc[of_one, "test_accuracy"] = 0.5
    claims = survey_claims.table(made)
    found = claims[claims["claim"] == "the intrinsic dimension hardly depends on the size"].set_index("effect_is")
    assert found.loc["log10 of the factor in weights over that in d, absolute threshold", "n"] == 4


def lottery():
    arms = {"dense": (1.0, 3.0, 0.95), "ticket_1": (0.5, 2.0, 0.96), "fresh_1": (0.5, 4.0, 0.93)}
    arms |= {"random_1": (0.5, 5.0, 0.92), "rewound_1": (0.5, 1.0, 0.97), "one_shot_1": (0.5, 3.0, 0.94)}
    cells, history = [], []
    for prefix in ("", "conv2_"):
        for arm, (left, stop, accuracy) in arms.items():
            for seed in SEEDS:
                cells.append({"arm": prefix + arm, "seed": seed, "weights_left": left, "test_accuracy": accuracy})
                for epoch in range(7):
                    told = {"test_loss": abs(epoch - stop), "test_accuracy": accuracy - 0.001 * seed}
                    history += [(str(len(cells) - 1), float(epoch), *one, "exact") for one in told.items()]
    return made_up.evidence(cells, ["arm"], history=history)


def test_networks_are_compared_over_the_epochs_that_both_were_trained():
    made = lottery()
    controls = made.cells.loc[made.cells["arm"] == "random_1", "cell"]
    later = [(cell, 9.0, name, value, "exact") for cell in controls for name, value in LATE.items()]
    made = replace(made, history=pd.concat([made.history, pd.DataFrame(later, columns=made.history.columns)]))
    claims = survey_claims.table(made).set_index(["claim", "effect_is"])["effect"]
    words = "epochs to early stopping, random_1 minus ticket_1"
    assert claims["tickets learn faster than a random mask", words] == 3


def test_tickets_against_their_controls():
    made = lottery()
    claims = survey_claims.table(made).set_index(["claim", "effect_is"])["effect"]
    for prefix in ("", "conv2_"):
        faster = claims[
            "tickets learn faster than a random mask",
            f"epochs to early stopping, {prefix}random_1 minus {prefix}ticket_1",
        ]
        assert faster == 3
    assert claims["tickets learn faster than the whole network"].tolist() == [1, 1]
    assert claims["networks pruned at once are more accurate than the whole network"].tolist() == pytest.approx(
        [-0.01] * 2
    )
    assert claims["rewound tickets are more accurate than tickets of the first weights"].tolist() == pytest.approx(
        [0.01] * 2
    )
    table = lottery_tickets.table(made).set_index("arm")
    assert table.loc["ticket_1", ["weights_left", "early_stop_epoch"]].tolist() == [50, 2]


def test_what_is_gained_after_all_images_are_fitted():
    """Fitted at epoch 2 with a test error of 0.3, which ends at 0.3 for width 4 and at 0.2 for width 120."""
    cells, history = [], []
    for width, end in ((4, 0.3), (120, 0.2)):
        for seed in SEEDS:
            cells.append({"width": str(width), "seed": seed, "test_error": end, "n_parameters": width})
            for epoch, train, test in ((1.0, 0.9, 0.6), (2.0, 1.0, 0.7), (3.0, 1.0, 1 - end)):
                told = {"train_accuracy": train, "test_accuracy": test}
                history += [(str(len(cells) - 1), epoch, *one, "exact") for one in told.items()]
    table = survey_claims.table(made_up.evidence(cells, ["width"], history=history)).set_index(["claim", "networks"])
    falls = table.loc["the test error falls after all training images are fitted", "effect"]
    assert falls.tolist() == pytest.approx([0, 0.1])
    assert table.loc["larger networks generalise better", "effect"].tolist() == pytest.approx([0.1])


def test_names_of_arms():
    assert kind_of("conv2_one_shot_12") == ("Conv-2", "one_shot", 12)
    assert kind_of("dense") == ("", "dense", 0)
    assert kind_of("large") is None
    assert arm_of("conv4_ticket_3", "random") == "conv4_random_3"
    assert arm_of("conv4_ticket_3", "dense") == "conv4_dense"


def explained_networks():
    """Four networks whose intrinsic dimension orders them as their gaps do, and whose margin does so in reverse."""
    cells = []
    for width, gap in ((1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)):
        for seed in SEEDS:
            shared = {"width": str(width), "seed": seed, "n_parameters": 100, "normalized_margin_median": 1 / width}
            shared |= {"error_rise_after_reset": (width * 7) % 5, "train_accuracy": 1.0}
            whole = {"weights_left": 1.0, "test_accuracy": 1 - gap, "subspace": "None"}
            cells.append({**shared, **whole, "arm": "dense"})
            for round_, left, lost in ((1, 0.5, 0.005), (2, 0.25, 0.02)):
                pruned = {"weights_left": left, "test_accuracy": 1 - gap - lost, "arm": f"ticket_{round_}"}
                cells.append({**shared, **whole, **pruned})
            for d in (1, 2, 3, 4, 5):
                inside = {"subspace": str(d), "train_accuracy": 0.95 if d >= width else 0.5, "arm": f"d_{d}"}
                cells.append({**shared, **whole, **inside})
    return made_up.evidence(cells, ["width", "arm"])


def test_explanations_are_read_from_the_arms_of_the_same_network():
    made = explained_networks()
    found = explained(made)
    assert found["gap"].tolist() == pytest.approx(np.repeat([0.1, 0.2, 0.3, 0.4], 5).tolist())
    assert found["intrinsic_dimension"].tolist() == np.repeat([1, 2, 3, 4], 5).tolist()
    assert set(found["ticket_size"]) == {50}  # the next one has lost too much
    table = explanations.table(made).set_index("effect_is")
    assert table.loc["tau of the gap and the intrinsic dimension", "effect"] == pytest.approx(1)
    assert table.loc["tau of the gap and the median normalized margin", "verdict"] == "opposite"
    assert table.loc["|tau| of the intrinsic dimension minus that of the median normalized margin", "effect"] == 0
    assert set(table["networks"]) == {4}


@pytest.mark.parametrize(
    ("module", "make"),
    [
        (network_risk, networks),
        (accuracy_by_subspace, subspaces),
        (intrinsic_by_size, networks_of_three_sizes),
        (lottery_curves, lottery),
    ],
)
def test_figures_are_legible(module, make):
    made = make()
    with matplotlib.style.context(figures.STYLE):
        matplotlib.rcParams["figure.figsize"] = (figures.COLUMN, matplotlib.rcParams["figure.figsize"][1])
        assert not picture_layout.faults(module.plot(module.data(made), made))


def test_what_they_need_is_said():
    one = made_up.evidence([{"arm": "a", "seed": 0, "n_parameters": 3, "train_error": 0.1}], ["arm"])
    with pytest.raises(UserError, match="double descent needs networks of several sizes"):
        network_risk.data(one)
    with pytest.raises(UserError, match="intrinsic dimensions need several sizes"):
        intrinsic_dimensions.table(one)
    with pytest.raises(UserError, match="no claim of the survey can be judged"):
        survey_claims.table(one)
