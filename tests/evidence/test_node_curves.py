"""Curves of layers, half times and verdicts by hand; the claims of made-up networks whose effects are known."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import synthetic

from gengap.errors import UserError
from gengap.evidence.measurements import Evidence, with_options
from gengap.evidence.node_curves import at_end, at_epoch, by_layer, ends, half_time, judged, layers, over_epochs
from gengap.evidence.tables import luck_claims, node_correlations
from gengap.studies.study import Table

EPOCHS = (0.0, 1.0, 2.0, 4.0)
RHO = {"first": (0.4, 0.5, 0.7, 0.9), "second": (0.2, 0.6, 0.7, 0.8)}
RANK = {"first": (0.1, 0.02, 0.0, 0.0), "second": (0.3, 0.1, 0.05, 0.0)}


def evidence(axis=None, seeds=5, changes=None, quantities=None, status="finished"):
    """Networks of the axis' values and seeds whose curves are those above, a seed's shifted by a thousandth of it."""
    values = [""] if axis is None else axis[1]
    axes = ["seed"] if axis is None else [axis[0], "seed"]
    cells, rows = [], []
    for value in values:
        for seed in range(seeds):
            name = f"{value}-{seed}"
            cells.append({"cell": name, "seed": seed, "status": status} | ({axis[0]: value} if axis else {}))
            for quantity, curves in (quantities or {"best_node_correlation": RHO, "final_winner_rank": RANK}).items():
                for layer, curve in curves.items():
                    shift = seed / 1000 + ((changes or {}).get((value, quantity), 0.0))
                    rows += [
                        (name, epoch, layer, quantity, at + shift * (epoch > 0), "exact", "node_correlation")
                        for epoch, at in zip(EPOCHS, curve, strict=True)
                    ]
    columns = ["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"]
    study = {"name": "made_up", "axes": axes, "reduced": False}
    tables = pd.DataFrame(cells), pd.DataFrame(), pd.DataFrame(rows, columns=columns), pd.DataFrame()
    return Evidence(study, *tables, path=None)


def judge(made, **options):
    return luck_claims.table(with_options(made, Table.model_validate({"name": "luck_claims", **options})))


def claims(made, **options):
    table = judge(made, **options)
    return {(row["claim"], row["effect_is"], row["networks"]): row for row in table.to_dict("records")}


def test_curves_are_cut_where_they_should_be():
    table = by_layer(evidence(), "best_node_correlation")
    assert layers(table) == ["first", "second"]
    assert at_end(table).loc["-2"].tolist() == pytest.approx([0.902, 0.802])
    assert at_epoch(table, 1.0).loc["-0"].tolist() == pytest.approx([0.5, 0.6])
    assert at_epoch(table, 3.0).empty
    assert over_epochs(table).loc["-0"].tolist() == pytest.approx([0.7, 0.7])
    # From 0.4 to 0.9, 0.65 lies at 3/4 of the way from 0.5 to 0.7; from 0.2 to 0.8, 0.5 at 3/4 of that to 0.6.
    assert half_time(table).loc["-0"].tolist() == pytest.approx([1.75, 0.75])


def test_a_curve_that_does_not_move_has_no_half_time():
    flat = {"best_node_correlation": {"first": (0.4,) * 4}}
    assert half_time(by_layer(evidence(quantities=flat, seeds=1), "best_node_correlation")).isna().all(axis=None)


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        ([0.1, 0.2, 0.15, 0.12, 0.18], "holds"),
        ([-0.1, -0.2, -0.15, -0.12, -0.18], "opposite"),
        ([0.1, -0.2, 0.15, -0.12, 0.18], "undecided"),
        ([0.1, 0.2, 0.15, 0.12], "too few seeds (4)"),
        ([0.1, 0.2, 0.15, 0.12, math.nan], "too few seeds (4)"),
        ([], "too few seeds (0)"),
    ],
)
def test_verdicts(effects, verdict):
    found = judged(effects)
    assert found["verdict"] == verdict
    if len(effects) == 5 and verdict != "too few seeds (4)":
        half = 2.776445 * np.std(effects, ddof=1) / 5**0.5
        assert found["effect_high"] - found["effect"] == pytest.approx(half, rel=1e-5)


def test_claims_about_layers_and_winners():
    found = claims(evidence())
    level = found["low layers are found first", "final correlation, first layer minus last", ""]
    assert (level["effect"], level["verdict"]) == (pytest.approx(0.1), "holds")
    half = found["low layers are found first", "epochs to half of the rise, last layer minus first", ""]
    assert half["effect"] < -0.9
    assert half["verdict"] == "opposite"
    early = found["winners lead before training", "0.5 minus their mean rank", ""]
    assert early["effect"] == pytest.approx(0.3)
    after = found["winners lead after the first epoch", "0.5 minus their mean rank", ""]
    assert after["effect"] == pytest.approx(0.5 - 0.06 - 0.002)


def test_claims_about_batchnorm_are_paired():
    changes = {("after", "best_node_correlation"): -0.05, ("after", "final_winner_rank"): -0.01}
    found = claims(evidence(("model_batchnorm", ["none", "after"]), changes=changes))
    rise = found["BatchNorm raises the correlation", "final, after minus none", "model batchnorm after"]
    assert (rise["effect"], rise["verdict"]) == (pytest.approx(-0.05), "opposite")
    rank = found["BatchNorm improves the winners' rank", "mean rank, none minus after", "model batchnorm after"]
    assert (rank["effect"], rank["verdict"]) == (pytest.approx(0.01), "holds")


@pytest.mark.parametrize("order", [["True", "False"], ["False", "True"]])
def test_infinite_data_are_the_better_whichever_comes_first(order):
    found = claims(evidence(("stream", order), changes={("True", "best_node_correlation"): 0.03}))
    (row,) = [row for (claim, *_), row in found.items() if claim == "finite data stall"]
    assert (row["effect"], row["verdict"]) == (pytest.approx(0.03), "holds")


def test_small_teachers_are_compared_over_all_epochs():
    made = evidence(("arm", ["small", "large"]), changes={("large", "best_node_correlation"): -0.2})
    made.cells["teacher_width"] = [{"small": "10", "large": "50"}[arm] for arm in made.cells["arm"]]
    (row,) = [row for (claim, *_), row in claims(made).items() if claim == "small teachers are found faster"]
    assert (row["effect"], row["verdict"]) == (pytest.approx(0.2), "holds")
    made.cells["teacher_model"] = [{"small": "mlp", "large": "plain_conv"}[arm] for arm in made.cells["arm"]]
    assert not [claim for claim, *_ in claims(made) if claim == "small teachers are found faster"]


def test_every_arm_is_judged_against_the_first_one():
    changes = {
        ("wide", "best_node_correlation"): 0.04,
        ("wide", "final_winner_rank"): -0.01,
        ("slow", "best_node_correlation"): -0.3,
    }
    found = claims(evidence(("arm", ["plain", "wide", "slow"]), changes=changes), against_first_arm=True)
    assert {networks for *_, networks in found} == {"arm wide", "arm slow"}
    for layer in ("first", "last"):
        rises = f"the setting raises the correlation of the {layer} layer", "final, minus that of plain"
        earlier = f"the setting improves the winners' rank in the {layer} layer", "mean rank of plain minus its own"
        told = {arm: (found[*rises, f"arm {arm}"], found[*earlier, f"arm {arm}"]) for arm in ("wide", "slow")}
        assert [row["effect"] for row in told["wide"]] == pytest.approx([0.04, 0.01])
        assert [row["effect"] for row in told["slow"]] == pytest.approx([-0.3, 0.0])
        assert [row["verdict"] for row in told["wide"]] == ["holds", "holds"]
        assert told["slow"][0]["verdict"] == "opposite"
    assert {row["n"] for row in found.values()} == {5}


def test_an_arm_of_one_network_and_a_grid_without_arms_judge_nothing():
    made = evidence(("arm", ["plain", "stuck"]))
    made.cells.loc[made.cells["cell"].isin([f"stuck-{seed}" for seed in range(1, 5)]), "status"] = "stuck"
    assert {row["verdict"] for row in claims(made, against_first_arm=True).values()} == {"too few seeds (1)"}
    with pytest.raises(UserError, match="no claim of Luck Matters can be judged"):
        judge(evidence(), against_first_arm=True)


@pytest.mark.parametrize(
    "curves", [{"first": (0.4,) * 4, "second": (0.5,) * 4}, {"first": (0.4,) * 4}, {"third": (0.3,) * 4}]
)
def test_every_network_has_its_own_first_and_last_layer(curves):
    """Beside networks of the layers `first` and `second` one of others, whose last layer may be the others' first."""
    made = evidence(quantities={"best_node_correlation": RHO})
    other = evidence(seeds=1, quantities={"best_node_correlation": curves})
    rows = [made.measurements, other.measurements.assign(cell="other")]
    cells = pd.concat([made.cells, other.cells.assign(cell="other")])
    both = dataclasses.replace(made, cells=cells, measurements=pd.concat(rows))
    table = by_layer(both, "best_node_correlation")
    first, last = ends(table, at_end(table))
    values = [curve[-1] for curve in curves.values()]
    assert [first["other"], last["other"]] == [values[0], values[-1]]
    assert [first["-0"], last["-0"]] == pytest.approx([0.9, 0.8])


def test_dead_networks_and_single_seeds_judge_nothing():
    assert {row["verdict"] for row in claims(evidence(seeds=4)).values()} == {"too few seeds (4)"}
    with pytest.raises(UserError, match="'made_up': no claim of Luck Matters can be judged"):
        judge(evidence(status="dead"))


def test_predictors_are_compared_whichever_way_they_point():
    """A score whose area is 0.2 tells as much as one of 0.8."""
    areas = {"correlation": 0.9, "fan_in": 0.2, "fan_out": 0.5, "gradient": 0.95}
    made = {f"winner_auc_by_{name}": {"first": (value,) * 4} for name, value in areas.items()}
    found = claims(evidence(quantities=made))
    margins = {effect.rpartition("minus ")[2]: row["effect"] for (_, effect, _), row in found.items()}
    assert margins == pytest.approx({"fan-in norm": 0.1, "fan-out norm": 0.4, "gradient": -0.05}, abs=1e-6)


def test_correlations_by_layer_and_group():
    changes = {("after", "best_node_correlation"): -0.05}
    quantities = {"best_node_correlation": RHO, "final_winner_rank": RANK}
    quantities |= {"best_node_correlation_by_chance": RANK, "winner_start_rank": RHO}
    made = evidence(("model_batchnorm", ["none", "after"]), changes=changes, quantities=quantities)
    table = node_correlations.table(made).set_index(["model_batchnorm", "layer"])
    assert table.loc[("none", "first"), "correlation"] == pytest.approx(0.902)
    assert table.loc[("after", "second"), "correlation"] == pytest.approx(0.752)
    assert table.loc[("after", "first"), "rank_at_start"] == pytest.approx(0.1)
    assert table.loc[("none", "second"), "rank_over_epochs"] == pytest.approx(0.05 + 0.002)
    assert (table["n"] == 5).all()


def test_a_study_without_the_probe_is_told_so(tmp_path):
    made = synthetic.collected(tmp_path, synthetic.study(tmp_path), probes=("performance",))
    with pytest.raises(UserError, match="List 'node_correlation' under `probes`"):
        node_correlations.table(made)
    with pytest.raises(UserError, match="no claim of Luck Matters can be judged"):
        judge(made)
