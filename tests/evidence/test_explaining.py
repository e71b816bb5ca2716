"""Rank correlations with the gap by hand, between settings and between seeds, and the figure and table of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gengap import registry
from gengap.errors import UserError
from gengap.evidence import explaining, figures, tables
from gengap.evidence.figures import measure_against_gap
from gengap.evidence.measurements import Evidence, with_options
from gengap.evidence.tables import explains
from gengap.studies.study import Figure, Table, load_study


def made(measure, *, status=None):
    """Networks of 3 widths and 3 seeds whose gap is 0.1 width + 0.01 seed, and a measure of both."""
    places = [(width, seed) for width in (1, 2, 3) for seed in (0, 1, 2)]
    names = [f"width={width},seed={seed}" for width, seed in places]
    cells = pd.DataFrame(places, columns=["width", "seed"]).assign(
        cell=names,
        status=[(status or {}).get(name, "finished") for name in names],
        n_parameters=[10 * width for width, _ in places],
        generalization_gap=[0.1 * width + 0.01 * seed for width, seed in places],
        path_norm=[float(measure(width, seed)) for width, seed in places],
        test_loss=1.0,
    )
    rows = [
        (name, 1.0, "", quantity, value, "exact", probe)
        for quantity, probe in (("path_norm", "norms"), ("test_loss", "performance"))
        for name, value in zip(names, cells[quantity], strict=True)
    ]
    columns = ["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"]
    empty = pd.DataFrame()
    study = {"name": "made", "axes": ["width", "seed"], "fixed": {}, "varied": [], "reduced": False}
    return Evidence(study, cells, empty, pd.DataFrame(rows, columns=columns), empty, Path("nowhere"))


def found(evidence):
    return {kind: (mean, low, high) for kind, mean, low, high in explaining.correlations(evidence, "path_norm")}


def test_tau_by_hand_and_ties_count_nothing():
    assert explaining.tau([1, 2, 3], [1, 2, 3]) == 1
    assert explaining.tau([1, 2, 3], [3, 2, 1]) == -1
    assert explaining.tau([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)
    assert explaining.tau([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / 3)
    assert np.isnan(explaining.tau([1], [1]))


def test_what_stands_for_the_settings_is_ordered_across_them_alone():
    of_width = found(made(lambda width, seed: width))
    assert of_width["across"] == pytest.approx((1, 1, 1))
    assert of_width["within"] == pytest.approx((0, 0, 0))
    against = found(made(lambda width, seed: 10 * width - seed))
    assert (against["across"][0], against["within"][0]) == (1, -1)
    assert set(against) == {"across", "within"}  # along the only axis is across


def test_a_seed_that_differs_widens_the_interval_over_seeds():
    mean, low, high = found(made(lambda width, seed: width if seed else -width))["across"]
    assert mean == pytest.approx(1 / 3)
    assert (low, high) == (-1, 1)


def test_table_has_the_controls_last_and_no_measure_of_the_test_set():
    evidence = with_options(made(lambda width, seed: width + seed), Table(name="explains"))
    table = explains.table(evidence)
    assert list(table["measure"]) == ["path norm", "number of parameters", "random numbers"]
    assert list(table["probe"]) == ["norms", "control", "control"]
    assert table["within"].tolist()[:2] == [1, 0]
    assert "across" in tables.readable(table)


def test_points_are_the_finished_networks_in_percent_and_what_cannot_be_drawn_is_counted():
    lost = {"width=1,seed=0": "dead"}
    evidence = made(lambda width, seed: np.inf if (width, seed) == (2, 1) else width, status=lost)
    evidence = with_options(evidence, Figure(name="measure_against_gap"))
    data = measure_against_gap.data(evidence)
    assert len(data) == 8
    assert set(data["by"]) == {"width 1", "width 2", "width 3"}
    assert data.set_index("cell").loc["width=3,seed=2", "gap"] == pytest.approx(32)
    figure = figures.plot("measure_against_gap", evidence)
    assert sum(len(line.get_xdata()) for line in figure.axes[0].lines) == 7
    assert "1 not finite" in [text.get_text() for text in figure.axes[0].texts]


def test_any_quantity_against_any_axis():
    part = Figure.model_validate({"name": "measure_against_gap", "x": "seed", "by": "width", "panels": ["test_loss"]})
    evidence = with_options(made(lambda width, seed: width), part)
    data = registry.load("figure", part.name).data(evidence)
    assert set(data["quantity"]) == {"test_loss"}
    assert list(data["x_axis"]) == [0, 1, 2] * 3


def test_an_unknown_quantity_is_named():
    evidence = with_options(made(lambda width, seed: width), Table(name="explains", measures=["path_nrom"]))
    with pytest.raises(UserError, match=r"study 'made': unknown quantity of whole networks 'path_nrom'"):
        explains.table(evidence)


@pytest.mark.parametrize(
    "grid", ["{model.width: [4], seed: 0..1}", "{model.width: [4, 8], optimizer.lr: [0.1, 0.2], seed: 0..1}"]
)
def test_a_study_of_any_number_of_axes_may_ask_for_it_by_name_alone(tmp_path, grid):
    path = tmp_path / "study.yaml"
    path.write_text(
        "title: t\nbase: {dataset: {name: gaussian, image_size: 8}, labels: teacher, training: {epochs: 1}}\n"
        f"grid: {grid}\nprobes: [performance]\nfigures: [measure_against_gap]\ntables: [explains]\n"
    )
    assert [figure.name for figure in load_study(path).figures] == ["measure_against_gap"]
