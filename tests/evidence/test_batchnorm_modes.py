"""One probe in two BatchNorm modes of one study: both are kept, and what is drawn reads the first that is listed."""

import pandas as pd
import pytest
import synthetic

import gengap
from gengap.errors import UserError
from gengap.evidence import collect, measurements
from gengap.files import storage
from gengap.studies.jobs import Plan

GRID = {"model.width": [4], "seed": [0, 1]}
MODES = [{"name": "performance", "batchnorm": mode} for mode in ("exact", "running", "batch")]


def in_mode(path, mode, shift):
    """The same file as a probe in another mode would have written it."""
    with storage.reading(path, "probe") as file:
        rows = storage.read_table(file, "measurements")
    other = path.with_name(f"{path.stem}_batchnorm={mode}.h5")
    with storage.writing(other, "probe", {}) as file:
        changed = rows.assign(value=rows["value"] + shift, batchnorm=mode)
        storage.write_table(file, "measurements", changed)
        storage.write_table(file, "failures", pd.DataFrame({"cell": [], "epoch": [], "why": []}))
    return other


@pytest.fixture
def found(tmp_path):
    made = synthetic.study(tmp_path, GRID)
    histories, probes = synthetic.write(tmp_path, made, probes=("performance",))
    probes += [in_mode(probes[0], mode, shift) for mode, shift in (("running", 100.0), ("batch", 200.0))]
    collect.collect(made, {}, histories, probes, tmp_path / "measurements.h5", tmp_path / "cells.csv")
    return measurements.read(tmp_path / "measurements.h5")


def test_figures_and_cells_read_the_first_mode(found):
    assert set(found.measurements["batchnorm"]) == {"exact"}
    assert set(found.other_modes["batchnorm"]) == {"running", "batch"}
    assert found.cells["test_loss"].max() < 100
    gaps = found.measurements[found.measurements["quantity"] == "generalization_gap"]
    assert gaps["value"].abs().max() < 1


def test_python_gives_all_modes(found, tmp_path):
    rows = gengap.load(tmp_path).measurements
    losses = rows[(rows["quantity"] == "test_loss") & (rows["epoch"] == 20)].set_index(["batchnorm", "cell"])["value"]
    for cell in found.cells["cell"]:
        assert losses["running", cell] == pytest.approx(losses["exact", cell] + 100)
        assert losses["batch", cell] == pytest.approx(losses["exact", cell] + 200)


def test_each_mode_has_a_job_and_a_file_of_its_own(tmp_path):
    made = synthetic.study(tmp_path, GRID, probes=MODES)
    plan = Plan({made.name: made}, {})
    assert list(plan.probes(made.name)) == [
        *("performance", "performance_batchnorm=running", "performance_batchnorm=batch")
    ]
    (pack,) = plan.packs[made.name]
    jobs = [plan.probe(made.name, pack, key) for key in plan.probes(made.name)]
    assert [job.params["probe"]["batchnorm"] for job in jobs] == ["exact", "running", "batch"]
    assert len({job.outputs["measured"] for job in jobs}) == 3
    assert len(plan.collect(made.name).inputs["probes"]) == 3


def test_one_mode_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match="'performance' appears twice in BatchNorm mode 'exact'"):
        synthetic.study(tmp_path, GRID, probes=["performance", *MODES])
