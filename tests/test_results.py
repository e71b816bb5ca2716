"""The Python door: tables, and any cell's trained network from its weights file."""

import subprocess
import sys

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


def test_an_unknown_cell_names_the_nearest_and_the_grid(folder):
    results = gengap.load(folder)
    with pytest.raises(UserError) as error:
        results.network("width=4,seed=7")
    message = str(error.value)
    assert "unknown cell 'width=4,seed=7'. The grid is: width in 4, 6; seed in 0, 1." in message


def test_an_unknown_epoch_lists_the_saved_ones(folder):
    with pytest.raises(UserError, match=r"no weights at epoch 3\. Choose from: 0, 0\.5, 20"):
        gengap.load(folder).network("width=4,seed=0", 3)


def test_a_wrong_folder_is_named(folder, tmp_path):
    with pytest.raises(UserError, match=r"unknown study 'made_upp'.*Did you mean 'made_up'"):
        gengap.load(folder.parent / "made_upp")
    with pytest.raises(UserError, match="does not exist"):
        gengap.load(tmp_path / "nothing")
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
