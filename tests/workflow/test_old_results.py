"""Results of an older version are found finished: nothing is trained again, and no bit of a network changes."""

import re
import shutil
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import gengap

OLD = Path(__file__).parents[1] / "old_results"
ARCHIVES = sorted(OLD.glob("results-*.tar.xz"))


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name.split(".")[0])
def old(request, tmp_path_factory, make_workspace):
    """The project as it is now, with a study and a simulation that an older version ran, and their results."""
    made = make_workspace(
        tmp_path_factory.mktemp("old") / "project", "kept", (OLD / "config/studies/kept.yaml").read_text()
    )
    shutil.copytree(OLD / "config/simulations", made / "config/simulations")
    made.edit("config/config.yaml", "simulations: []", "simulations: [kept_draws]")
    with tarfile.open(request.param) as archive:
        archive.extractall(made.folder, filter="data")
    return made


def weights(workspace):
    """Every checkpoint's weights, by cell, epoch and tensor."""
    found = {}
    for path in (workspace / "results/kept/packs").rglob("weights.h5"):
        with h5py.File(path) as file:
            cells, epochs = file["checkpoints/cell"].asstr()[()], file["checkpoints/epoch"][()]
            for name, values in _tensors(file["weights"]):
                found |= {
                    (cell, float(epoch), name): row for cell, epoch, row in zip(cells, epochs, values, strict=True)
                }
    return found


def _tensors(group):
    found = []
    group.visititems(lambda name, item: found.append((name, item[()])) if isinstance(item, h5py.Dataset) else None)
    return found


def test_old_networks_are_kept_bit_by_bit(old):
    before = weights(old)
    assert len({cell for cell, _, _ in before}) == 8
    status, output = old.run("--cores", "2", "kept", "kept_draws")
    assert status == 0, output
    trained = re.findall(r"(\d+) of \d+ cells are to be trained", output)
    assert set(trained) <= {"0"}, output
    after = weights(old)
    assert after.keys() == before.keys()
    assert all(np.array_equal(after[key], before[key]) for key in before)
    assert old.planned() == set()
    results = gengap.load(old / "results/kept")
    assert len(results.cells) == 8
    assert set(results.cells["status"]) <= {"finished", "stuck"}
