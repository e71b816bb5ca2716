"""Results with commas in their names are renamed with their records; then nothing is left to do."""

import base64
import shutil

import pytest

import gengap
from gengap.files import legacy_names
from gengap.snakemake_support import records, run_lock

SPELLED = {
    "width=2_pack=0": "width=2,pack=0",
    "width=3_pack=0": "width=3,pack=0",
    "gaussian_image_size=8_n_train=400_n_test=200": "gaussian,image_size=8,n_train=400,n_test=200",
    "teacher_train_size=60_test_size=30_minority_share=0.2": "teacher,train_size=60,test_size=30,minority_share=0.2",
}
SAID = "Renamed 12 files and folders of earlier results"


def old_name(path):
    for new, old in SPELLED.items():
        path = path.replace(new, old)
    return path


@pytest.fixture
def old(workspace):
    """A workspace as the code before left it."""
    records.rename(workspace.folder, old_name)
    for path in sorted(workspace.folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        if path.name != (name := old_name(path.name)) and ".snakemake" not in path.parts:
            path.rename(path.with_name(name))
    assert len(names_with_commas(workspace)) == 12
    return workspace


def names_with_commas(workspace):
    return [path for top in ("results", "data") for path in (workspace / top).rglob("*,*")]


def test_nothing_is_made_again(old, finished_workspace):
    status, output = old.run("--dry-run")
    assert status == 0, output
    assert output.count(SAID) == 1
    assert "Nothing to be done" in output
    assert names_with_commas(old) == []
    assert old.results() == finished_workspace.results()
    status, output = old.run("--dry-run")
    assert SAID not in output
    assert "Nothing to be done" in output


@pytest.mark.thorough
def test_without_records_no_network_is_trained_again(old):
    shutil.rmtree(old / ".snakemake/metadata")
    old.edit("config/studies/tiny.yaml", "probes: [performance]", "probes: [performance, distance]")
    packs = "results/tiny/packs"
    new = [f"{packs}/width={width}_pack=0/weights.h5" for width in (2, 3)]
    new.append(f"{packs}/width=2_pack=0/probes/distance.h5")
    status, output = old.run("--forceall", *new)
    assert status == 0, output
    assert output.count("0 of 1 cells are to be trained, 1 were found finished") == 2


def test_interrupted_between_records_and_files_it_goes_on(old):
    records.rename(old.folder, legacy_names.current)
    legacy_names.rename(old.folder)
    assert names_with_commas(old) == []
    assert old.planned() == set()


def test_what_a_killed_job_left_incomplete_is_made_again(old):
    mark = base64.urlsafe_b64encode(b"results/tiny/packs/width=2,pack=0/weights.h5").decode()
    assert (old / ".snakemake/metadata" / mark).exists()
    (old / ".snakemake/incomplete" / mark).touch()
    assert "Training width=2_pack=0 of tiny" in old.planned()


def test_while_a_run_is_at_work_all_stays_as_it_is(old, caplog):
    with run_lock.alive(old.folder):
        legacy_names.rename(old.folder)
    assert len(names_with_commas(old)) == 12


def test_results_are_read_before_and_after(old):
    for _ in range(2):
        results = gengap.load(old / "results/tiny")
        frame = results.cells.assign(pack=[SPELLED.get(name, name) for name in results.cells["pack"]])
        earlier = gengap.results.Results(results.folder, results.study, frame)
        assert all(earlier.network(cell) for cell in frame["cell"])
        legacy_names.rename(old.folder)


def test_a_new_result_is_never_replaced(old):
    new = old / "results/tiny/packs/width=2_pack=0"
    new.mkdir()
    legacy_names.rename(old.folder)
    assert list(new.iterdir()) == []
    assert (old / "results/tiny/packs/width=2,pack=0/weights.h5").exists()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("results/a/packs/width=4,pack=0/probes/gradient.h5", "results/a/packs/width=4_pack=0/probes/gradient.h5"),
        ("results/a/points/rows=6,columns=4.h5", "results/a/points/rows=6_columns=4.h5"),
        (
            "data/labelled/cifar10,image_size=8/teacher,margin=0.5.h5",
            "data/labelled/cifar10_image_size=8/teacher_margin=0.5.h5",
        ),
        ("data/prepared/digits.h5", "data/prepared/digits.h5"),
        ("results/a,b/cells.csv", "results/a,b/cells.csv"),
        ("config/published/a,b.csv", "config/published/a,b.csv"),
    ],
)
def test_only_names_of_packs_points_and_data_change(path, expected):
    assert legacy_names.current(path) == expected
