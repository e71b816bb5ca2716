"""Claims and tables of the survey's studies, of made-up evidence with known numbers."""

import numpy as np
import pytest
import survey_evidence

from gengap.errors import UserError
from gengap.evidence import tables
from gengap.evidence.sample_errors import starts
from gengap.evidence.tables import fitting, layer_robustness, memorisation, survey_claims


def claims(made):
    table = survey_claims.table(made)
    return table.set_index(["claim", "networks"])


def test_fitting_counts_what_interpolated_and_what_died():
    made = survey_evidence.fitting(never=("mlp-random_labels-0.5-None-2",), dead=("mlp-random_labels-1.0-None-0",))
    table = fitting.table(made).set_index(["network", "data"])
    assert table.loc[("MLP", "50 % random labels"), ["seeds", "interpolating"]].tolist() == [5, 4]
    assert table.loc[("MLP", "random labels"), ["seeds", "dead", "interpolating"]].tolist() == [4, 1, 4]
    assert table.loc[("MLP", "random labels"), "interpolation_epoch"] == pytest.approx(42.5)
    assert table.loc[("small AlexNet", "one permutation"), "interpolation_epoch"] == pytest.approx(32)
    assert table.loc[("MLP", "true data"), "test_error"] == pytest.approx(10.2)


def test_claims_of_random_data():
    made = survey_evidence.fitting(never=("mlp-random_labels-1.0-None-2",))
    table = claims(made)
    at = "network MLP, data random labels"
    assert table.loc[("random data are fitted", at), "effect"] == pytest.approx(0.01 - 0.02 / 5)
    # Four take 30 epochs more than on true data, one at least 100 - 12.
    assert table.loc[("noise slows fitting", at), "effect"] == pytest.approx((4 * 30 + 88) / 5)
    assert table.loc[("noise slows fitting", "network MLP, data noise images"), "verdict"] == "opposite"
    rise = table.loc[("random labels raise the test error", at)]
    assert (rise["effect"], rise["verdict"]) == (pytest.approx(0.8), "holds")
    fitted = [networks for claim, networks in table.index if claim == "random data are fitted"]
    assert not [networks for networks in fitted if "50 %" in networks]


def test_a_network_that_never_fits_true_data_judges_no_time():
    never = {f"mlp-random_labels-0.0-None-{seed}" for seed in range(5)}
    table = claims(survey_evidence.fitting(never=never))
    judged = {claim for claim, networks in table.index if "MLP" in networks}
    assert judged == {"random data are fitted", "random labels raise the test error"}


def test_a_network_that_learnt_nothing_fitted_nothing():
    stuck = [f"mlp-random_labels-1.0-None-{seed}" for seed in range(5)]
    table = claims(survey_evidence.fitting(stuck=stuck))
    fitted = table.loc[("random data are fitted", "network MLP, data random labels")]
    assert (fitted["n"], fitted["effect"], fitted["verdict"]) == (5, pytest.approx(-0.89), "opposite")
    assert table.loc[("random labels raise the test error", "network MLP, data random labels"), "n"] == 0


def test_samples_that_are_equally_hard_and_samples_that_are_not():
    true, noise = starts(survey_evidence.starts(n_starts=40, n_samples=2000))
    # By hand: half of the samples vary by 0.5 around the mean, the others are fair coins.
    assert true.spread == pytest.approx((0.125 + 0.125 / 40) / (0.25 / 40), rel=0.05)
    assert noise.spread == pytest.approx(1, abs=0.15)
    assert noise.agreement.mean() == pytest.approx(0, abs=0.02)
    assert true.agreement.mean() == pytest.approx(0.125 / np.sqrt(0.25 * (0.125 + 0.125 / 39)), abs=0.02)


def test_memorisation_counts_what_stays_right():
    table = memorisation.table(survey_evidence.starts()).set_index("data")
    assert table.loc["true data", ["always_right", "always_wrong"]].tolist() == [25, 25]
    assert table.loc["true data", ["right_after_first", "staying_right"]].tolist() == [50, 25]
    assert table.loc["random labels", "staying_right"] == 0
    assert table["starts"].tolist() == [40, 40]
    made = claims(survey_evidence.starts())
    stay = made.loc[("true data have more samples that stay right", "network to zero error, data random labels")]
    assert stay["effect"] == pytest.approx(0.25)
    easier = made.loc["some samples are easier than others"]
    assert easier.loc["data true data", "verdict"] == "holds"
    assert easier.loc["data random labels", "effect"] == pytest.approx(0, abs=0.05)


def test_the_first_layer_alone_matters():
    made = survey_evidence.layered()
    table = layer_robustness.table(made).set_index("depth")
    assert table.loc["4", "first_layer_reset"] == pytest.approx(50.2)
    assert table.loc["4", "other_layers_reset"] == pytest.approx(10.2)
    assert table.loc["4", "least_redrawn"] == pytest.approx(70.2)
    assert list(table["worst_layer"]) == ["linear1"] * 3
    judged = claims(made)
    deep = "depth 4, width 8"
    assert judged.loc[("the first layer matters most", deep), "effect"] == pytest.approx(0.4)
    destroyed = judged.loc[("redrawing any layer destroys the network", deep), "effect"]
    assert destroyed == pytest.approx(0.702 - (0.102 + 0.9) / 2)
    robust = judged.loc[("later layers need their first weights, not their training", deep)]
    assert robust["effect"] == pytest.approx(0.6)
    mean, total = judged.loc["deeper networks are more robust"]["effect"]
    assert mean == pytest.approx(0.2 - 0.08)
    assert total == pytest.approx(0, abs=1e-12)  # which dilution alone gives


def test_claims_of_batchnorm():
    table = survey_claims.table(survey_evidence.landscapes()).set_index("claim")["effect"]
    for claim in (
        "the loss varies less along the gradient with BatchNorm",
        "the gradient changes less along itself with BatchNorm",
        "the effective smoothness is better with BatchNorm",
    ):
        assert table[claim] == pytest.approx(1)  # a factor of ten
    assert table["BatchNorm reduces internal covariate shift"] == pytest.approx(-0.4)
    assert table["noisy BatchNorm still trains better than none"] == pytest.approx(0.05)


def test_inputs_that_move_are_less_stable():
    table = survey_claims.table(survey_evidence.moving({"plain": 1.0, "batchnorm": 0.1, "noisy": 3.0}))
    judged = table.set_index("claim")["effect"]
    assert judged["BatchNorm keeps the inputs of layers in their place"] == pytest.approx(1)
    assert judged["noisy BatchNorm has less stable inputs than none"] == pytest.approx(np.log10(3))


def test_networks_that_learn_nothing_count_where_the_claim_is_that_they_learn():
    made = survey_evidence.landscapes()
    stuck = made.cells["arm"].eq("plain") & made.cells["seed"].lt(4)
    made.cells.loc[stuck, "status"] = "stuck"
    judged = survey_claims.table(made).set_index("claim")
    learns = judged.loc["BatchNorm networks learn where others do not"]
    assert (learns["n"], learns["effect"]) == (5, pytest.approx(0.8))
    assert judged.loc["BatchNorm trains better", "n"] == 1


def test_other_studies_have_none_of_these_claims():
    made = survey_evidence.evidence([{"cell": "0", "seed": 0, "test_accuracy": 0.5}], [])
    with pytest.raises(UserError, match="no claim of the survey can be judged"):
        survey_claims.table(made)


def test_a_table_in_which_stuck_networks_count_does_not_call_them_left_out():
    made = survey_evidence.starts()
    assert (made.cells["status"] == "stuck").sum() == 80
    numbers = memorisation.table(made)
    assert tables.left_out(numbers, made, memorisation.TAKEN) == ""
    assert tables.left_out(numbers, made) == "Left out: 80 stuck, of 90 networks."
