"""The notebook of a new lab runs from its first cell to its last, on results as a study leaves them."""

import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "src/gengap/cli/lab/first_look.ipynb"


@pytest.fixture
def lab(finished_workspace, tmp_path, monkeypatch):
    shutil.copytree(finished_workspace / "results/tiny", tmp_path / "results/quickstart")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    plt.close("all")


def test_every_cell_runs_and_a_figure_is_drawn(lab):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    names = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs  # what it shows is made where it is run
            exec(compile(cell.source, cell.id, "exec"), names)
    assert list(names["by_width"]["width"]) == [2, 3]
    assert set(names["curves"]["epoch"]) == {0, 1}
    assert {"train_accuracy", "test_accuracy"} <= set(names["measured"])
    assert (lab / "my_figure.png").read_bytes().startswith(b"\x89PNG")
    assert names["figure"].number in plt.get_fignums()  # Jupyter shows figures of pyplot, and no others
