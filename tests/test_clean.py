"""`gengap clean`: removes what no study refers to, and nothing else."""

import os
import signal
import time

import pytest

from gengap import datasets, labels, layout, probes
from gengap.cli import main
from gengap.errors import UserError
from gengap.studies.packing import dataset_key, labels_key
from gengap.studies.study import load_study
from gengap.training import RunOptions, cell_store, resume, train_pack

STUDY = """\
title: Tiny
base:
  dataset: digits
  labels: {train_size: 40, test_size: 20}
  model: {width: 2}
  training: {batch_size: 20, epochs: 1, snapshots: [0]}
  loss: cross_entropy
grid: {seed: [0, 1]}
"""
OLD = time.time() - 30 * 86_400


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one study of two cells, trained."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config/studies/tiny.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(STUDY)
    cells = load_study(path).cells
    cell = next(iter(cells.values()))
    prepared = tmp_path / "data/prepared" / f"{dataset_key(cell)}.h5"
    labelled = tmp_path / "data/labelled" / dataset_key(cell) / f"{labels_key(cell)}.h5"
    datasets.prepare(cell.dataset, tmp_path / "raw", prepared)
    labels.label(cell.labels, prepared, labelled)
    weights, history = tmp_path / "results/tiny/weights.h5", tmp_path / "results/tiny/history.h5"
    train_pack(
        cells, labels.read(prepared, labelled), weights, history, RunOptions(store_folder=layout.STORE, device="cpu")
    )
    return tmp_path


def files(project):
    return {path for path in project.rglob("*") if path.is_file()}


def edit(project, old, new):
    path = project / "config/studies/tiny.yaml"
    path.write_text(path.read_text().replace(old, new))


def test_what_studies_refer_to_is_kept(project, capsys):
    before = files(project)
    assert main.main(["clean", "--yes"]) == 0
    assert capsys.readouterr().out == "Nothing can be removed.\n"
    assert files(project) == before


def test_a_cell_that_left_its_study_is_listed_and_removed_when_told(project, capsys):
    entries = cell_store.entries(layout.STORE)
    edit(project, "seed: [0, 1]", "seed: [1]")
    before = files(project)
    assert main.main(["clean"]) == 0  # nobody is there to be asked
    out = capsys.readouterr().out
    assert "trained cell that no study refers to: 1 file, " in out
    assert "KiB" in out
    assert "Nothing was removed" in out
    assert files(project) == before
    assert main.main(["clean", "--yes"]) == 0
    assert "Removed 1 file, " in capsys.readouterr().out
    (gone,) = before - files(project)
    assert gone in {project / entry for entry in entries}
    assert main.main(["clean", "--yes"]) == 0
    assert capsys.readouterr().out == "Nothing can be removed.\n"


@pytest.mark.parametrize(("answer", "removed"), [("n", 0), ("", 0), ("yes", 1)])
def test_a_person_is_asked(project, monkeypatch, answer, removed):
    edit(project, "seed: [0, 1]", "seed: [1]")
    before = files(project)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert main.main(["clean"]) == 0
    assert len(before - files(project)) == removed


def test_without_labelled_data_a_studys_cells_are_kept(project, capsys):
    """The identity has the data's digest, which cannot be known: settings alone decide."""
    (labelled,) = (project / "data/labelled").rglob("*.h5")
    labelled.unlink()
    before = files(project)
    assert main.main(["clean", "--yes"]) == 0
    assert "Labelled data are missing for 2 cells; their stored results are kept." in capsys.readouterr().out
    assert files(project) == before
    edit(project, "epochs: 1", "epochs: 2")
    assert main.main(["clean", "--yes"]) == 0
    assert cell_store.entries(layout.STORE) == []


@pytest.mark.parametrize(("old", "new", "removed"), [("[0, 1]", "[1]", 1), ("samples: 9", "samples: 8", 2)])
def test_measurements_that_no_study_refers_to_go(project, capsys, old, new, removed):
    edit(project, "grid:", "probes: [{name: gradient, samples: 9}]\ngrid:")
    study = load_study(project / "config/studies/tiny.yaml")
    (prepared,), (labelled,) = (project / "data/prepared").glob("*"), (project / "data/labelled").rglob("*.h5")
    weights, output = project / "results/tiny/weights.h5", project / "results/tiny/gradient.h5"
    data = labels.read(prepared, labelled)
    probes.measure_pack(study.probes[0], study.cells, weights, data, output, store_folder=layout.STORE, device="cpu")
    before = files(project)
    assert main.main(["clean", "--yes"]) == 0
    assert files(project) == before
    edit(project, old, new)
    assert main.main(["clean", "--yes"]) == 0
    assert f"measurement that no study refers to: {removed} file" in capsys.readouterr().out
    gone = before - files(project)
    assert sum(path.is_relative_to(project / layout.stored_measurements(layout.STORE)) for path in gone) == removed


def test_a_broken_study_stops_it(project, capsys):
    before = files(project)
    edit(project, "seed: [0, 1]", "sead: [0]")
    assert main.main(["clean", "--yes"]) == 1
    assert "Did you mean 'seed'?" in capsys.readouterr().err
    assert files(project) == before


def test_leftovers_of_killed_jobs_go_when_they_are_old(project, capsys):
    left = [
        project / layout.STORE / "unfinished/0123.h5",
        project / "results/tiny/.weights.h5.abc.part",
        project / "data/prepared/.digits.h5.abc.part",
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    assert main.main(["clean", "--yes"]) == 0
    assert all(path.exists() for path in left)
    for path in left:
        os.utime(path, (OLD, OLD))
    assert main.main(["clean", "--yes", "--days", "40"]) == 0
    assert all(path.exists() for path in left)
    capsys.readouterr()
    assert main.main(["clean", "--yes"]) == 0
    out = capsys.readouterr().out
    assert "pack left unfinished for 7 days: 1 file" in out
    assert "half-written by a job that was killed: 2 files" in out
    assert not any(path.exists() for path in left)


def test_damaged_and_outdated_entries_go(project):
    entry = project / cell_store.entries(layout.STORE)[0]
    bad = [entry.with_name("00.h5"), entry.with_suffix(".damaged"), project / layout.STORE / "ab/00.h5"]
    for path in bad:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(entry.read_bytes()[:500])
    assert main.main(["clean", "--yes"]) == 0
    assert not any(path.exists() for path in bad)
    assert entry.exists()


def test_it_finds_unfinished_packs_where_they_are_saved(project, monkeypatch):
    edit(project, "epochs: 1", "epochs: 2")
    cells = load_study(project / "config/studies/tiny.yaml").cells
    (prepared,), (labelled,) = (project / "data/prepared").glob("*"), (project / "data/labelled").rglob("*.h5")
    original = resume.Saver.step

    def interrupted(self, live, records):
        self._signal = signal.SIGTERM
        original(self, live, records)

    monkeypatch.setattr(resume.Saver, "step", interrupted)
    with pytest.raises(UserError, match="stopped by SIGTERM"):
        train_pack(
            cells,
            labels.read(prepared, labelled),
            project / "weights.h5",
            project / "history.h5",
            RunOptions(store_folder=layout.STORE, device="cpu"),
        )
    (saved,) = (project / layout.STORE / "unfinished").iterdir()
    os.utime(saved, (OLD, OLD))
    assert main.main(["clean", "--yes"]) == 0
    assert not saved.exists()
