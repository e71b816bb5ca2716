"""Claims on rates and batches, contrasts of sharpness, effective images, of made-up networks with known numbers."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from gengap.errors import UserError
from gengap.evidence.figures import sharpness_contrast
from gengap.evidence.measurements import Evidence
from gengap.evidence.tables import effective_images, rates_claims, sharpness_contrasts
from gengap.files.arrays import Array


def evidence(cells, axes, rows=()):
    frame = pd.DataFrame([{"status": "finished", **cell} for cell in cells])
    columns = ["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"]
    study = {"name": "made_up", "axes": [*axes, "seed"], "reduced": False, "fixed": {}}
    return Evidence(study, frame, pd.DataFrame(), pd.DataFrame(rows, columns=columns), pd.DataFrame(), path=None)


def arms(accuracies, n=5):
    return [
        {
            "cell": f"{arm}-{seed}",
            "arm": arm,
            "seed": seed,
            **{name: value + 0.001 * seed for name, value in own.items()},
        }
        for arm, own in accuracies.items()
        for seed in range(n)
    ]


PATCHES = {
    "large": {"test_accuracy": 0.9, "clean_accuracy": 0.8, "patch_only_accuracy": 0.5},
    "small": {"test_accuracy": 0.88, "clean_accuracy": 0.6, "patch_only_accuracy": 0.9},
    "small_noise": {"test_accuracy": 0.88, "clean_accuracy": 0.7, "patch_only_accuracy": 0.9},
}


def test_claims_of_rates_and_noise():
    made = evidence(arms(PATCHES), ["arm"], [("large-0", 0.0, "", "test_accuracy", 0.1, "exact", "p")])
    table = rates_claims.table(made).set_index("claim")
    expected = {
        "a large initial rate generalises better on mixed images": (0.02, "holds"),
        "a large initial rate generalises better on clean images": (0.2, "holds"),
        "a small rate knows patches better": (0.4, "holds"),
        "noise helps a small rate on mixed images": (0.0, "undecided"),
        "noise helps a small rate on clean images": (0.1, "holds"),
        "noise helps a small rate on patches alone": (0.0, "undecided"),
    }
    assert {claim: (row["effect"], row["verdict"]) for claim, row in table.iterrows()} == {
        claim: (pytest.approx(effect, abs=1e-12), verdict) for claim, (effect, verdict) in expected.items()
    }


def test_a_lead_before_the_drop_is_read_at_the_epoch_between():
    rows = [
        (f"{arm}-{seed}", epoch, "", "test_accuracy", value, "exact", "performance")
        for arm, early in (("large", 0.3), ("small", 0.4))
        for seed in range(5)
        for epoch, value in ((0.0, 0.1), (6.0, early + 0.001 * seed), (20.0, 0.7))
    ]
    made = evidence(arms({arm: {"test_accuracy": 0.7} for arm in ("large", "small")}), ["arm"], rows)
    table = rates_claims.table(made).set_index("claim")
    assert table.loc["a small rate leads before the first drop", "effect"] == pytest.approx(0.1)


SHARP = {"sharpness": (1.0, 100.0), "sharpness_in_half_box": (0.5, 5.0), "normalized_sharpness": (2.0, 2.0)}


def batches(n=5, **more):
    rng = np.random.default_rng(0)
    return [
        {
            "cell": f"{size}-{seed}",
            "arm": "f1",
            "batch_size": str(size),
            "seed": seed,
            "test_accuracy": 0.98 - 0.01 * place + 0.0001 * seed,
            **{name: values[place] * np.exp(0.01 * rng.normal()) for name, values in SHARP.items()},
            **more,
        }
        for place, size in enumerate((256, 6000))
        for seed in range(n)
    ]


def with_arrays(made, found):
    """Evidence whose arrays are given instead of read."""

    class Given(Evidence):
        def arrays(self, quantity):
            return [array for array in found if array.quantity == quantity]

    return Given(**{field.name: getattr(made, field.name) for field in dataclasses.fields(made)})


def test_claims_of_batches_and_contrasts_of_sharpness():
    made = evidence(batches(), ["arm", "batch_size"])
    table = rates_claims.table(made).set_index(["claim", "effect_is"])["effect"]
    assert table["small batches generalise better", "test accuracy, small minus large"] == pytest.approx(0.01)
    sharper = table["minima of large batches are sharper"]
    assert sharper["log10 of large over small, full space, 10 steps, eps 0.001"] == pytest.approx(2, abs=0.02)
    assert sharper["log10 of large over small, filters of norm 1, eps 0.001"] == pytest.approx(0, abs=0.02)

    rows = pd.DataFrame([(cell, 20.0) for cell in made.cells["cell"]], columns=["cell", "epoch"])
    values = np.zeros((10, 2, 2, 2))
    values[:, 0, 0, 1] = np.arange(10)  # as it is, full space, the smaller box
    named = "sharpness_projected_gradient"
    found = [Array(named, "", ("scaling", "space", "eps"), "exact", "sharpness", rows, values)]
    table = sharpness_contrasts.table(with_arrays(made, found)).set_index(["variant", "eps"])
    first = table.loc[("full space, 10 steps", "0.001")]
    assert first["ratio"] == pytest.approx(100, rel=0.05)
    assert first["ratio_low"] < first["ratio"] < first["ratio_high"]
    assert first[["small", "large"]].tolist() == pytest.approx([1, 100], rel=0.05)
    assert table.loc[("full space, 10 steps", "0.0005"), "projected_gradient"] == 9
    assert table.loc[("filters of norm 1", "0.001"), "projected_gradient"] == 0

    data = sharpness_contrast.data(dataclasses.replace(made, measurements=sharpness_rows(made)))
    assert data.loc[data["eps"] == "0.001", "ratio"].tolist() == pytest.approx([100, 1], rel=0.05)
    sharpness_contrast.plot(data, made).draw_without_rendering()


def sharpness_rows(made):
    rows = [(cell, 20.0, "", "sharpness", 1.0, "exact", "sharpness") for cell in made.cells["cell"]]
    return pd.DataFrame(rows, columns=made.measurements.columns)


def test_the_sharper_end_of_a_line():
    """Beyond large batches' end the loss rises by 3, beyond the other by 0.3: a contrast of one decade."""
    cells = [{"cell": str(seed), "arm": "f1", "seed": seed, "train_loss_barrier": 0.5} for seed in range(5)]
    rows = pd.DataFrame([(str(seed), 40.0) for seed in range(5)], columns=["cell", "epoch"])
    where = np.tile(np.linspace(-1, 2, 7), (5, 1))
    losses = np.tile([9.0, 0.4, 0.1, 0.7, 0.2, 3.2, 9.0], (5, 1))
    found = [
        Array("path_position", "", ("position",), "exact", "path", rows, where),
        Array("train_loss_along_path", "", ("position",), "exact", "path", rows, losses),
    ]
    table = rates_claims.table(with_arrays(evidence(cells, ["arm"]), found)).set_index("claim")
    assert table.loc["the end of large batches is the sharper one", "effect"] == pytest.approx(1)
    assert table.loc["a barrier lies between the minima", "effect"] == pytest.approx(0.5)


def test_claims_of_simulations():
    cells = [
        {
            "cell": f"{rate}-{seed}",
            "rate": rate,
            "seed": seed,
            "large_advantage": sign * 0.1,
            "large_wins": float(sign > 0),
        }
        | {"small_ratio": 1.5, "large_ratio": 1.5 - sign * 0.75}
        for rate, sign in (("0.1", -1), ("1.4", 1))
        for seed in range(6)
    ]
    table = rates_claims.table(evidence(cells, ["rate"])).set_index(["claim", "networks"])["verdict"]
    for claim in ("ends with the smaller error", "wins more often", "overfits less"):
        assert table[f"a large rate first {claim}", "rate 1.4"] == "holds"
        assert table[f"a large rate first {claim}", "rate 0.1"] == "opposite"

    cells = [
        {
            "cell": f"{a}-{noise}-{seed}",
            "algorithm": a,
            "noise": noise,
            "seed": seed,
            "faint_error": error + 0.01 * seed,
        }
        for a, noise, error in (("small", "none", 0.2), ("large_small", "none", 0.1), ("small", "gate", 0.3))
        for seed in range(5)
    ]
    table = rates_claims.table(evidence(cells, ["algorithm", "noise"])).set_index("claim")["effect"]
    assert table["with a large rate first the faint pattern is learned better"] == pytest.approx(0.1)
    assert table["with noise at the small rate the faint pattern is learned better"] == pytest.approx(-0.1)


def test_effective_images_lie_on_the_line_of_the_same_rate():
    """Accuracies of a half, 0.6, 0.7 at 1,000, 2,000 and 4,000 images: 0.65 is at their geometric mean."""
    clean = [
        {
            "cell": f"{arm}-{size}-{seed}",
            "arm": arm,
            "train_size": str(size),
            "seed": seed,
            "test_accuracy": value + shift,
        }
        | {"clean_accuracy": np.nan}
        for arm, shift in (("large", 0.0), ("small", -0.1))
        for size, value in ((1000, 0.5), (2000, 0.6), (4000, 0.7))
        for seed in range(5)
    ]
    patched = [
        {
            "cell": f"p-{arm}-{seed}",
            "arm": arm,
            "train_size": "4000",
            "seed": seed,
            "test_accuracy": 0.9,
            "clean_accuracy": value,
        }
        for arm, value in (("patches_large", 0.65), ("patches_small", 0.5), ("patches_small_noise", 0.9))
        for seed in range(5)
    ]
    table = effective_images.table(evidence([*clean, *patched], ["arm", "train_size"])).set_index("trained")
    assert table["images"].tolist() == pytest.approx([np.sqrt(2000 * 4000), 2000, 4000])
    assert table["compared_with"].tolist() == ["large", "small", "small"]
    assert table["at_an_end"].tolist() == [0, 0, 5]
    everything = [{**cell, "train_size": "None"} if cell["train_size"] == "4000" else cell for cell in clean]
    table = effective_images.table(evidence([*everything, *patched], ["arm", "train_size"])).set_index("trained")
    assert table.loc["patches_large", "images"] == pytest.approx(np.sqrt(2000 * 50_000))


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (rates_claims, "no claim on learning rate or batch size can be judged"),
        (sharpness_contrasts, "contrasts need several values of training.batch_size"),
        (effective_images, "effective numbers of images need finished arms"),
    ],
)
def test_what_a_table_needs_is_said(module, words):
    made = with_arrays(evidence([{"cell": "0", "seed": 0, "test_accuracy": 0.5}], []), [])
    with pytest.raises(UserError, match=words):
        module.table(made)
