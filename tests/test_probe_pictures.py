"""Every probe has its small picture, of a quantity that it measures."""

import shutil
import subprocess
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import synthetic

from gengap import registry
from gengap.reference_docs import probe_pictures

FOLDER = Path(__file__).parent.parent / "docs" / "probes"


@pytest.mark.parametrize("name", registry.REGISTRY["probe"])
def test_every_probe_has_a_picture_of_what_it_measures(name):
    entry = registry.check("probe", name)
    assert entry.picture.quantity in entry.measured
    assert not entry.picture.along or entry.picture.along in entry.measured
    assert plt.imread(FOLDER / f"{name}.png").std() > 0.01, "it is blank"


def test_no_picture_is_of_a_probe_that_is_gone():
    assert {path.stem for path in FOLDER.glob("*.png")} == set(registry.REGISTRY["probe"])


def test_lines_show_the_measured_means(tmp_path):
    evidence = synthetic.collected(tmp_path, synthetic.study(tmp_path))
    (axes,) = probe_pictures.draw(evidence, "performance").axes
    rows = evidence.measurements.merge(evidence.cells[["cell", "width"]], on="cell")
    rows = rows[(rows["quantity"] == "test_accuracy") & (rows["width"] == 4)]
    expected = 100 * rows.groupby("epoch")["value"].mean()
    assert axes.lines[0].get_ydata() == pytest.approx(expected.to_numpy())


def test_curves_show_the_first_network_of_every_width(tmp_path):
    evidence = synthetic.collected(tmp_path, synthetic.study(tmp_path))
    (axes,) = probe_pictures.draw(evidence, "path").axes
    arrays = evidence.arrays("train_loss_along_path")
    assert len(axes.lines) == len(arrays)
    assert axes.lines[0].get_ydata() == pytest.approx(arrays[0].values[0])


def test_arrays_are_there_until_all_pictures_are_drawn(tmp_path, monkeypatch):
    study = synthetic.study(tmp_path)
    made = synthetic.collected(tmp_path, study)

    def collect(study, imports, histories, files, measurements, cells):
        shutil.copytree(made.path.parent, measurements.parent, dirs_exist_ok=True)

    monkeypatch.setattr(probe_pictures, "collect", collect)
    monkeypatch.setattr(subprocess, "run", lambda command: subprocess.CompletedProcess(command, 0))
    (tmp_path / "pictures").mkdir()
    with probe_pictures.measured(study, ["path"]) as evidence:
        probe_pictures.write(evidence, ["performance", "path"], tmp_path / "pictures")
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"performance.png", "path.png"}


def test_what_was_not_measured_is_said(tmp_path):
    evidence = synthetic.collected(tmp_path, synthetic.study(tmp_path))
    (axes,) = probe_pictures.draw(evidence, "sharpness").axes
    assert "was not measured" in axes.texts[0].get_text()
