"""Slopes of drifts and contrasts of couplings, of made-up networks whose numbers are known."""

import pandas as pd
import pytest
import synthetic

from gengap.errors import UserError
from gengap.evidence.measurements import Evidence
from gengap.evidence.tables import coupling_contrasts, drift_slopes


def evidence(rows, axes, cells):
    columns = ["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"]
    study = {"name": "made_up", "axes": axes, "reduced": False}
    return Evidence(study, cells, pd.DataFrame(), pd.DataFrame(rows, columns=columns), pd.DataFrame(), path=None)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_slopes_are_the_powers_of_the_rate(power):
    """A seed multiplies all its drifts, which moves no slope; a seed that lacks a rate has none."""
    cells, rows = [], []
    for lr in (0.001, 0.01, 0.1):
        for seed in range(6):
            if seed == 5 and lr == 0.1:
                continue
            name = f"{lr}-{seed}"
            status = "stuck" if lr == 0.001 else "finished"  # which learned nothing, and drifted all the same
            cells.append({"cell": name, "lr": lr, "seed": seed, "status": status})
            for layer, more in (("first", 0.0), ("second", 0.5)):
                for epoch, share in ((0.0, 0.0), (1.0, 1.0)):
                    drift = share * (1 + seed) * lr ** (power + more)
                    rows.append((name, epoch, layer, "fan_in_norm_drift", drift, "exact", "node_norms"))
    table = drift_slopes.table(evidence(rows, ["lr", "seed"], pd.DataFrame(cells)))
    assert table["n"].tolist() == [5, 5]
    assert table["slope"].tolist() == pytest.approx([power, power + 0.5])
    assert (table["slope_high"] - table["slope_low"]).abs().max() < 1e-9


def test_slopes_need_rates_and_norms(tmp_path):
    made = synthetic.collected(tmp_path, synthetic.study(tmp_path, {"seed": [0, 1]}))
    with pytest.raises(UserError, match=r"slopes need the axis optimizer\.lr in `grid`"):
        drift_slopes.table(made)


def test_contrasts_are_means_and_their_differences_are_judged():
    cells = pd.DataFrame([{"cell": str(seed), "seed": seed, "status": "finished"} for seed in range(5)])
    rows = []
    for seed in range(5):
        for quantity, value in (("coupling_contrast", 2.0), ("gated_coupling_contrast", 3.0 + seed)):
            rows += [(str(seed), epoch, "first", quantity, value * (1 + epoch), "exact", "b") for epoch in (0.0, 1.0)]
    table = coupling_contrasts.table(evidence(rows, ["seed"], cells)).set_index("epoch")
    assert table.loc[0.0, ["beta", "H", "effect"]].tolist() == pytest.approx([2.0, 5.0, 3.0])
    assert table.loc[1.0, ["beta", "H", "effect"]].tolist() == pytest.approx([4.0, 10.0, 6.0])
    assert set(table["verdict"]) == {"holds"}


def test_contrasts_need_the_probe():
    cells = pd.DataFrame([{"cell": "0", "seed": 0, "status": "finished"}])
    with pytest.raises(UserError, match="List 'backward_coupling' under `probes`"):
        coupling_contrasts.table(evidence([], ["seed"], cells))
