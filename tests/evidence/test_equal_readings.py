"""Four readings of curves whose accuracies at equal epochs, updates, distance and loss are known."""

import math

import pandas as pd
import pytest

from gengap.errors import UserError
from gengap.evidence.equal_readings import READINGS, readings
from gengap.evidence.figures import batch_readings
from gengap.evidence.measurements import Evidence
from gengap.evidence.tables import rates_claims

SIZES = {"small": 10, "large": 40, "large_fast": 40}
RATES = {"small": 0.1, "large": 0.1, "large_fast": 0.4}
EPOCHS = {"small": (0.0, 1.0, 2.0, 4.0), "large": (0.0, 2.0, 4.0, 8.0, 16.0)}


def progress(arm, epoch):
    """What updates did: one of small batches per epoch is one, of large ones a quarter."""
    return epoch * 10 / SIZES[arm]


def values(arm, seed, epoch):
    """Accuracy follows the updates; the distance is twice as large and the loss falls half as fast in large batches."""
    done, factor = progress(arm, epoch), 1 if arm == "small" else 2
    return {
        "test_accuracy": 0.5 + 0.05 * done + 0.01 * seed * (arm == "small"),
        "distance_from_start": factor * done,
        "train_loss": math.exp(-done / factor),
    }


def made_up(seeds=range(5), arms=SIZES, status=None, drop=None):
    cells, rows = [], []
    for arm in arms:
        for seed in seeds:
            name = f"arm={arm},seed={seed}"
            own = {"cell": name, "arm": arm, "seed": seed, "batch_size": str(SIZES[arm]), "lr": str(RATES[arm])}
            cells.append({**own, "optimizer": "sgd", "status": (status or {}).get(name, "finished")})
            for epoch in EPOCHS[arm.partition("_")[0]]:
                found = values(arm, seed, epoch)
                rows += [
                    (name, epoch, "", quantity, value, "exact", "p")
                    for quantity, value in found.items()
                    if quantity != drop
                ]
    columns = ["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"]
    study = {"name": "made_up", "axes": ["arm", "seed"], "reduced": False, "fixed": {}}
    return Evidence(
        study, pd.DataFrame(cells), pd.DataFrame(), pd.DataFrame(rows, columns=columns), pd.DataFrame(), path=None
    )


def test_the_four_readings():
    """Small has done 4 updates after 4 epochs, large 1; both 4 updates in all; at distance 4 large has done 2."""
    table = readings(made_up()).query("seed == 0 and rate == 1.0").set_index("reading")
    assert list(table.index) == list(READINGS)
    assert table.loc["epochs", ["at", "small", "large"]].tolist() == pytest.approx([4.0, 0.7, 0.55])
    assert table.loc["updates", ["small", "large"]].tolist() == pytest.approx([0.7, 0.7])
    assert table.loc["distance", ["at", "small", "large"]].tolist() == pytest.approx([4.0, 0.7, 0.6])
    # Large ends at exp(-2), which small has after 2 updates: a saved checkpoint.
    assert table.loc["train loss", ["at", "small", "large"]].tolist() == pytest.approx([math.exp(-2), 0.6, 0.7])


def test_pairs_are_of_one_seed_and_both_finished():
    table = readings(made_up(status={"arm=small,seed=3": "diverged", "arm=large,seed=1": "dead"}))
    assert set(table["rate"]) == {1.0, 4.0}
    assert sorted(table.query("rate == 1.0")["seed"].unique()) == [0, 2, 4]
    assert sorted(table.query("rate == 4.0")["seed"].unique()) == [0, 1, 2, 4]
    same = table.query("rate == 1.0 and reading == 'updates'")
    assert same["difference"].tolist() == pytest.approx([0.01 * seed for seed in same["seed"]])


def test_claims_and_figure_show_the_same_means():
    evidence = made_up()
    claims = rates_claims.table(evidence).set_index(["claim", "networks"])
    data = batch_readings.data(evidence).set_index(["reading", "rate"])
    row = claims.loc[("small batches generalise better at equal epochs", "sgd, the same rate")]
    assert row["effect"] == pytest.approx(0.15 + 0.02)
    assert (row["verdict"], row["n"]) == ("holds", 5)
    assert data.loc[("epochs", 1.0), "mean"] == pytest.approx(17.0)
    assert (claims.xs("sgd, 4 times the rate for large batches", level="networks")["verdict"] == "holds").sum() >= 1
    figure = batch_readings.plot(batch_readings.data(evidence), evidence)
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == [f"equal\n{name}" for name in READINGS]


@pytest.mark.parametrize("options", [{"drop": "train_loss"}, {"arms": ("large", "large_fast")}])
def test_what_readings_need_is_said(options):
    with pytest.raises(UserError, match="readings need two batch sizes and the probes performance and distance"):
        readings(made_up(**options))
