"""Rank correlations with the gap by hand, between settings and between seeds, and the figure and table of them."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import picture_layout
import pytest
import synthetic

from gengap import registry
from gengap.errors import UserError
from gengap.evidence import explaining, figures, tables
from gengap.evidence.figures import measure_against_gap
from gengap.evidence.measurements import Evidence, with_options
from gengap.evidence.tables import explains
from gengap.files import arrays, storage
from gengap.quantities import QUANTITIES
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
    assert list(table["measure"])[:3] == ["path norm", "number of parameters", "random numbers"]
    assert list(table["probe"])[:3] == ["norms", "control", "control"]
    assert table["networks"].tolist()[:3] == [9, 9, 9]
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


def with_rows(evidence, probes, *, arrays=()):
    """The same evidence, in which more probes measured something: a quantity of a layer, or of whole networks."""
    cells = evidence.cells["cell"].tolist()
    more = [
        (cell, 1.0, layer, quantity, 1.0, "exact", probe)
        for probe, (layer, quantity) in probes.items()
        for cell in cells
    ]
    rows = pd.concat([evidence.measurements, pd.DataFrame(more, columns=evidence.measurements.columns)])
    known = {quantity: 1.0 for layer, quantity in probes.values() if not layer}
    more_cells = evidence.cells.assign(**known)
    return dataclasses.replace(evidence, cells=more_cells, measurements=rows, array_probes=arrays)


def title_of(evidence, **options):
    figure = figures.plot({"name": "measure_against_gap", **options}, evidence, width=figures.PAGE)
    assert not picture_layout.faults(figure)
    return " ".join(figure.get_suptitle().split())


def test_a_probe_that_has_no_measure_of_the_whole_network_is_named_in_the_picture_and_in_the_table():
    by_layer = {"gradient": ("conv1", "layer_gradient_norm"), "near_rank": ("conv2", "near_rank")}
    evidence = with_rows(made(lambda width, seed: width), by_layer, arrays=("hessian_spectrum", "norms"))
    words = title_of(evidence)
    assert "without a panel (only by layer): gradient and near_rank" in words
    assert "without a panel (only arrays): hessian_spectrum" in words
    assert "without a panel (only on the test set): performance" in words
    assert "norms" not in words  # it has a panel
    table = explains.table(with_options(evidence, Table(name="explains")))
    assert dict(zip(table["probe"], table["measure"], strict=True))["near_rank"] == "none: only by layer"
    assert table.loc[table["probe"] == "near_rank", "networks"].tolist() == [0]
    assert "| none: only by layer" in tables.readable(table).to_markdown(index=False)


def test_evidence_knows_the_probes_of_arrays(tmp_path):
    found = synthetic.collected(tmp_path, synthetic.study(tmp_path, {"seed": [0]}))
    with storage.reading(found.path, "measurements") as file:
        every = {one.probe for one in arrays.read(file)}
    assert every
    assert set(found.array_probes) == every


def test_what_the_study_names_itself_leaves_nothing_out():
    evidence = with_rows(made(lambda width, seed: width), {"gradient": ("conv1", "layer_gradient_norm")})
    assert "without a panel" not in title_of(evidence, panels=["path_norm"])
    chosen = explains.table(
        with_options(evidence, Table.model_validate({"name": "explains", "measures": ["path_norm"]}))
    )
    assert list(chosen["probe"]) == ["norms", "control", "control"]


def test_more_probes_than_panels_and_more_quantities_than_probes_are_told():
    names = [name for name, one in QUANTITIES.items() if not name.startswith("test_") and name != explaining.GAP]
    whole = {f"probe_{number}": ("", name) for number, name in enumerate(names[:12]) if name != "path_norm"}
    words = title_of(with_rows(made(lambda width, seed: width), whole))
    assert "without a panel (no room): probe_" in words
    distances = {"distance": ("", "distance_from_start"), "norms": ("", "frobenius_norm_product")}
    few = title_of(with_rows(made(lambda width, seed: width), distances))
    assert "2 of 3 quantities" in few
    assert "no room" not in few


def test_a_measure_that_is_not_a_number_of_some_networks_is_compared_on_the_others():
    evidence = made(lambda width, seed: np.inf if (width, seed) == (2, 1) else width)
    table = explains.table(with_options(evidence, Table(name="explains")))
    assert table["networks"].tolist()[:3] == [8, 9, 9]


def test_a_quantity_of_layers_is_told_from_one_that_nobody_measured():
    evidence = with_rows(made(lambda width, seed: width), {"gradient": ("conv1", "layer_gradient_norm")})
    part = Table.model_validate({"name": "explains", "measures": ["layer_gradient_norm"]})
    with pytest.raises(UserError, match=r"'layer_gradient_norm' was measured by layer, and the gap .* path_norm"):
        explains.table(with_options(evidence, part))


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


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.001, 0.03, 1.0], "log"),  # sampled learning rates
        ([4, 16, 256], "log"),
        ([0.0, 0.1, 10.0], "linear"),  # no logarithm of 0
        ([0.1, 0.2, 0.3], "linear"),
        (["default", "he", "xavier"], "linear"),  # names
    ],
)
def test_an_axis_of_the_grid_that_spans_decades_is_logarithmic(values, scale):
    evidence = made(lambda width, seed: width + seed)
    cells = evidence.cells.assign(other=[values[width - 1] for width in evidence.cells["width"]])
    study = evidence.study | {"axes": ["width", "other", "seed"]}
    part = Figure.model_validate({"name": "measure_against_gap", "x": "other", "by": "width", "panels": ["path_norm"]})
    evidence = with_options(dataclasses.replace(evidence, cells=cells, study=study), part)
    panel = measure_against_gap.plot(measure_against_gap.data(evidence), evidence).axes[0]
    assert panel.get_xscale() == scale
    assert sum(len(line.get_xdata()) for line in panel.lines) == len(cells)
