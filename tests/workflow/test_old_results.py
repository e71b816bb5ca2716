"""Networks of earlier code are found finished by the code of now; tests/old_results/make.sh made them.

Scripts have changed since, so Snakemake runs their jobs again, as after a `git pull`. What counts is that no network is
trained and no number is another. So it goes for one study and the simulation; the networks of the other study, with its
many measurements, are measured again by one process, `python -m gengap.training`.
"""

import contextlib
import os
import re
import shutil
import sys
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from clones import call

import gengap
from gengap import versions
from gengap.evidence.collect import collect, data_facts
from gengap.studies.jobs import Plan
from gengap.studies.study import load_study

pytestmark = [pytest.mark.long, pytest.mark.thorough]
FOLDER = Path(__file__).resolve().parents[1] / "old_results"
STUDIES = {"kept": 8, "kept_classes": 2}  # cells of each
COLLECTED = [f"results/{name}/cells.csv" for name in ("kept_classes", "kept_draws")]


@pytest.fixture(scope="module", params=sorted(FOLDER.glob("*.tar.xz")), ids=lambda path: path.name)
def old(request, make_workspace, tmp_path_factory):
    """The code of now in a project whose results are of then; nothing was run. Never to be changed."""
    made = make_workspace(tmp_path_factory.mktemp("old") / "project", "kept", "")
    with tarfile.open(request.param) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.3 and older have none
        archive.extractall(made.folder)
    for top in ("src", "workflow", "rules", "Snakefile"):  # younger than the results, as pulled
        for path in (made / top, *(made / top).rglob("*")):
            os.utime(path)
    return made


@pytest.fixture(scope="module")
def updated(old, tmp_path_factory):
    """A copy whose studies were measured again and collected, and what was said: by Snakemake, by one process."""
    copy = old.copy(tmp_path_factory.mktemp("updated") / "project")
    status, output = copy.run(*COLLECTED)
    assert status == 0, output
    for path in (copy / "data").glob("*/gaussian*"):  # made again, so networks are found only if data are the same
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (copy / "results/kept/packs").glob("*/probes"):
        shutil.rmtree(path)
    said = call(copy.folder, sys.executable, "-m", "gengap.training", "kept", "--device", "cpu")
    collect_kept(copy.folder)
    return copy, output, said


def collect_kept(folder):
    """As the rule does."""
    with contextlib.chdir(folder):
        study = load_study(Path("config/studies/kept.yaml"))
        job = Plan({"kept": study}, {}).collect("kept")
        made_of = [[Path(path) for path in job.inputs[name]] for name in ("labelled", "histories", "probes")]
        facts = data_facts(made_of[0], study.cells.values())
        collect(study, facts, *made_of[1:], *(Path(path) for path in job.outputs.values()))


def weights(workspace):
    """Every array of every file of weights, by study, cells in the file, and name."""
    found = {}
    for path in (workspace / "results").glob("*/packs/*/weights.h5"):
        with h5py.File(path) as file:
            cells = tuple(sorted({name.decode() for name in file["checkpoints/cell"][()]}))
            for name, array in file["weights"].items():
                found[path.parts[-4], cells, name] = array[()]
    return found


def store(workspace):
    """The files of the store; a network that was trained adds one."""
    return {path.name: path.read_bytes() for path in (workspace / ".gengap/store/cells").rglob("*") if path.is_file()}


def measured(workspace, study):
    table = gengap.load(workspace / "results" / study).measurements
    return table.set_index(["cell", "epoch", "probe", "quantity", "layer"])["value"].sort_index()


def test_no_network_is_trained(old, updated):
    copy, output, said = updated
    trained = re.compile(r"(\d+) of \d+ cells are to be trained, \d+ were found finished")
    log = max((copy / ".snakemake/log").glob("*.snakemake.log")).read_text()  # of the only run in this copy
    assert len(trained.findall(output)) == len(re.findall(r"^Job \d+: Training ", log, flags=re.MULTILINE))
    assert set(trained.findall(output)) <= {"0"}
    assert trained.findall(said) == ["0", "0"]
    assert store(copy) == store(old)
    assert len(store(copy)) == sum(STUDIES.values())


def test_weights_keep_their_bits(old, updated):
    before, after = weights(old), weights(updated[0])
    assert {key[0] for key in before} == set(STUDIES)
    assert before.keys() == after.keys()
    for key, array in before.items():
        assert array.dtype == after[key].dtype
        assert array.tobytes() == after[key].tobytes(), key


@pytest.mark.parametrize("study", STUDIES)
def test_measurements_are_the_same(old, updated, study):
    before, after = measured(old, study), measured(updated[0], study)
    assert len(before) > 20
    pd.testing.assert_series_equal(before, after, check_exact=False, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("study", STUDIES)
def test_results_are_read_before_and_after(old, updated, study):
    for workspace in (old, updated[0]):
        results = gengap.load(workspace / "results" / study)
        assert len(results.cells) == STUDIES[study]
        # Collecting calls a network that learned nothing stuck; earlier code called it finished.
        assert set(results.cells["status"]) <= {"finished", "stuck"}
        for cell in results.cells["cell"]:
            parameters = [values.detach().numpy() for values in results.network(cell).parameters()]
            assert all(np.isfinite(values).all() for values in parameters)


def test_they_are_explained_before_and_after(old, updated):
    """After, where Snakemake made what there is, since the chain is in its records."""
    for workspace, study in ((old, "kept"), (updated[0], "kept_classes")):
        said = call(workspace.folder, "gengap", "explain", f"results/{study}/measurements.h5")
        assert re.search(rf"^  {STUDIES[study]} cells: ", said, flags=re.MULTILINE)
        assert re.search(r"All \d+ files have the content that the next one was made from\.", said)


def test_after_nothing_is_left_to_do(updated):
    assert updated[0].planned(*COLLECTED) == set()


def test_other_numbers_of_training_would_be_noticed(old, updated, tmp_path):
    copy = updated[0].copy(tmp_path / "raised")
    copy.edit("src/gengap/versions.py", f"TRAINING = {versions.TRAINING}", f"TRAINING = {versions.TRAINING + 1}")
    (pack,) = (old / "results/kept_classes/packs").iterdir()
    status, output = copy.run(f"results/kept_classes/packs/{pack.name}/weights.h5")
    assert status == 0, output
    assert "2 of 2 cells are to be trained" in output
    assert len(store(copy)) == len(store(old)) + 2
