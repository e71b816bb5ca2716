"""The Python door: tables, and any cell's trained network from its weights file."""

import subprocess
import sys

import pandas as pd
import pytest
import synthetic
import torch

import gengap
from gengap.engine import weights
from gengap.errors import UserError
from gengap.files.storage import writing
from gengap.models import build
from gengap.studies.packing import packs

SHAPE, OUTPUTS = (3, 8, 8), 1
GRID = {"model.width": [4, 6], "seed": [0, 1]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "made_up"
    made = synthetic.study(folder.parent, GRID)
    synthetic.collected(folder, made)
    for pack, names in packs(made).items():
        checkpoints = {}
        for name in names:
            cell = made.cells[name]
            checkpoints[name] = {epoch: network(cell, epoch).state_dict() for epoch in (0.0, 0.5, 20.0)}
        settings = {name: made.cells[name].model_dump(mode="json") for name in names}
        weights.write(folder / "packs" / pack / "weights.h5", checkpoints, settings, SHAPE, OUTPUTS, {})
    return folder


def network(cell, epoch):
    """A network whose weights and running statistics tell cell and epoch apart."""
    torch.manual_seed(1000 * cell.model.width + 100 * cell.seed + int(10 * epoch))
    model = build(cell.model, SHAPE, OUTPUTS)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.randn_like(buffer))
    return model.eval()


@pytest.mark.parametrize("epoch", [None, 0.5])
def test_a_network_computes_what_was_saved(folder, epoch):
    results = gengap.load(folder)
    made = synthetic.study(folder.parent, GRID)
    images = torch.randn(5, *SHAPE)
    for name, cell in made.cells.items():
        found = results.network(name, epoch)
        assert isinstance(found, torch.nn.Module)
        assert not found.training
        assert torch.equal(found(images), network(cell, 20.0 if epoch is None else epoch)(images))


def test_tables(folder):
    results = gengap.load(str(folder))
    assert results.study["title"] == "Made up"
    assert list(results.cells["width"]) == [4, 4, 6, 6]
    assert {"cell", "epoch", "quantity", "value"} <= set(results.history) & set(results.measurements)


def test_a_probe_is_one_table_with_the_settings_of_the_grid(folder):
    results = gengap.load(folder)
    found = results.measure("hessian_extremes")
    assert list(found.columns[:7]) == ["cell", "width", "seed", "epoch", "layer", "batchnorm", "probe"]
    assert {"hessian_largest", "hessian_smallest"} <= set(found)
    assert len(found) == 4 * found["epoch"].nunique()
    largest = results.measure("hessian_largest", epoch=20)  # measured by two probes, which are two rows
    rows = results.measurements.query("quantity == 'hessian_largest' and epoch == 20")
    assert set(zip(largest["cell"], largest["probe"], largest["hessian_largest"], strict=True)) == set(
        zip(rows["cell"], rows["probe"], rows["value"], strict=True)
    )
    layers = results.measure("layer_gradient_norm", epoch=20)
    assert set(layers["layer"]) == set(synthetic.LAYERS)
    with pytest.raises(UserError, match=r"unknown probe or quantity 'hesian_ext.*Did you mean 'hessian_ext"):
        results.measure("hesian_extremes")
    with pytest.raises(UserError, match=r"was not measured at epoch 3\.5\. Choose from: 0, 0\.1"):
        results.measure("hessian_extremes", epoch=3.5)
    with pytest.raises(UserError, match=r"was not measured at epoch last\. Choose from: 0, 0\.1"):
        results.measure("hessian_extremes", epoch="last")


def test_some_cells_only(folder):
    results = gengap.load(folder).where(width=4, seed=[1])
    assert results.cells["cell"].tolist() == ["width=4,seed=1"]
    assert set(results.history["cell"]) == set(results.measurements["cell"]) == {"width=4,seed=1"}
    with pytest.raises(UserError, match=r"no cell has width = 5\. Choose from: 4, 6\."):
        gengap.load(folder).where(width=5)
    with pytest.raises(UserError, match=r"unknown column 'widht'.*Did you mean 'width'"):
        gengap.load(folder).where(widht=4)


def test_curves_and_comparisons_average_seeds_only(folder):
    results = gengap.load(folder)
    curves = results.curves("test_accuracy", by="width")
    assert list(curves.columns) == ["width", "epoch", "n", "mean", "low", "high"]
    assert len(curves) == 2 * 21
    history = results.history.query("quantity == 'test_accuracy' and epoch == 20").set_index("cell")["value"]
    last = curves.query("width == 4 and epoch == 20").iloc[0]
    assert last["mean"] == pytest.approx(history[["width=4,seed=0", "width=4,seed=1"]].mean())
    assert 0 <= last["low"] < last["mean"] < last["high"] <= 1
    compared = results.compare(x="width", y="test_loss")
    assert compared["width"].tolist() == [4, 6]
    assert compared["mean"].tolist() == pytest.approx(results.cells.groupby("width")["test_loss"].mean().tolist())
    against = results.compare(x="hessian_largest", y="generalization_gap")
    assert list(against.columns) == ["width", "n", "mean", "low", "high", "x_mean", "x_low", "x_high"]
    for refused in (lambda: results.curves("test_accuracy"), lambda: results.compare(x="seed", y="test_loss")):
        with pytest.raises(UserError, match=r"networks differ in width as well.*by=.*\.where\(width=4\)"):
            refused()
    assert len(results.where(width=4).curves("test_accuracy")) == 21
    with pytest.raises(UserError, match="unknown quantity 'test_acuracy'"):
        results.curves("test_acuracy", by="width")
    with pytest.raises(UserError, match="unknown final value 'cell'"):
        results.compare(x="width", y="cell")


def test_dead_networks_are_in_no_mean(tmp_path):
    made = synthetic.study(tmp_path, GRID)
    synthetic.collected(tmp_path / "made_up", made, status={"width=4,seed=1": "dead"})
    results = gengap.load(tmp_path / "made_up")
    assert results.compare(x="width", y="test_loss")["n"].tolist() == [1, 2]
    assert set(results.curves("test_loss", by="width").query("width == 4")["n"]) == {1}


def test_other_programs_read_the_tables(folder, tmp_path):
    results = gengap.load(folder)
    for path in results.to_parquet(tmp_path):
        pd.testing.assert_frame_equal(pd.read_parquet(path), getattr(results, path.stem), check_dtype=False)
    arrays = results.to_xarray()
    assert dict(arrays.sizes) == {"width": 2, "seed": 2}
    cells = results.cells.set_index("cell")
    assert float(arrays["test_loss"].sel(width=6, seed=1)) == cells.loc["width=6,seed=1", "test_loss"]
    assert arrays["test_loss"].attrs["long_name"] == "test loss"


def test_a_missing_package_is_named(folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"to_xarray needs xarray\. Install it: pip install xarray"):
        gengap.load(folder).to_xarray()


def test_an_unknown_cell_names_the_nearest_and_the_grid(folder):
    results = gengap.load(folder)
    with pytest.raises(UserError) as error:
        results.network("width=4,seed=7")
    message = str(error.value)
    assert "unknown cell 'width=4,seed=7'. The grid is: width in 4, 6; seed in 0, 1." in message


def test_an_unknown_epoch_lists_the_saved_ones(folder):
    with pytest.raises(UserError, match=r"no weights at epoch 3\. Choose from: 0, 0\.5, 20"):
        gengap.load(folder).network("width=4,seed=0", 3)
    for epoch in ("last", "3", [3]):
        with pytest.raises(UserError, match=r"network: epoch: .* is no number\. Leave it out for the last one"):
            gengap.load(folder).network("width=4,seed=0", epoch)


def test_a_wrong_folder_is_named(folder, tmp_path):
    with pytest.raises(UserError, match=r"unknown study 'made_upp'.*Did you mean 'made_up'"):
        gengap.load(folder.parent / "made_upp")
    with pytest.raises(UserError, match="does not exist"):
        gengap.load(tmp_path / "nothing")
    with pytest.raises(UserError, match="does not exist"):
        gengap.load(tmp_path / "no results yet" / "nothing")
    with pytest.raises(UserError, match=r"measurements\.h5: does not exist"):
        gengap.load(tmp_path)


def test_damaged_measurements_are_refused(tmp_path):
    (tmp_path / "measurements.h5").write_bytes(b"no HDF5")
    with pytest.raises(UserError, match="damaged"):
        gengap.load(tmp_path)
    with writing(tmp_path / "measurements.h5", "weights", {}):
        pass
    with pytest.raises(UserError, match="holds weights, expected measurements"):
        gengap.load(tmp_path)


def test_importing_the_package_stays_cheap():
    code = "import sys, gengap; print(sorted({'torch', 'pandas', 'numpy', 'matplotlib'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("quantity", ["hessian_eigenvalues", "test_error_after_reset", "train_loss_along_path"])
def test_arrays_are_those_of_the_chosen_cells(folder, quantity):
    results = gengap.load(folder).where(width=6)
    found = results.arrays(quantity)
    assert {cell for one in found for cell in one.rows["cell"]} == set(results.cells["cell"])
    for one in found:
        assert one.values.shape[0] == len(one.rows)
        assert one.values.ndim == 1 + len(one.dims)


def test_an_array_is_no_measure_and_a_measure_no_array(folder):
    results = gengap.load(folder)
    with pytest.raises(UserError, match=r"measure: 'hessian_eigenvalues' is an array of each network\. Use \.arrays\("):
        results.measure("hessian_eigenvalues")
    with pytest.raises(UserError, match=r"arrays: unknown array 'hessian_eigenvalue'\. Did you mean 'hessian_eigenv"):
        results.arrays("hessian_eigenvalue")
    with pytest.raises(UserError, match="arrays: unknown array 'test_loss'"):
        results.arrays("test_loss")
