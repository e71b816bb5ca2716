"""Results of another machine: exported, and imported where there are neither data nor weights."""

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from gengap import layout, provenance, simulations
from gengap.cli.main import main
from gengap.evidence import imported
from gengap.evidence.collect_simulation import collect_simulation
from gengap.files import compact, exports, storage
from gengap.studies import imports
from gengap.studies.jobs import Plan
from gengap.studies.simulation import load_simulations, point_settings
from gengap.studies.study import load_studies
from gengap.training import __main__ as training_command

COMPARED = ("cells.csv", "verdicts.csv", "figures/accuracy_by_width.csv", "tables/final_performance.csv")
CELLS = ["width=2,lr=0.1,seed=0", "width=3,lr=0.1,seed=0"]


@pytest.fixture(scope="module")
def exported(finished_workspace, tmp_path_factory):
    """An export of the tiny study."""
    file = tmp_path_factory.mktemp("exported") / "tiny.h5"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished_workspace.folder)
        assert main(["export", "tiny", str(file)]) == 0
    return file


@pytest.fixture
def clone(make_workspace, finished_workspace, tmp_path, monkeypatch):
    """A clone in which nothing was run; the working folder."""
    text = (finished_workspace / "config/studies/tiny.yaml").read_text()
    made = make_workspace(tmp_path / "clone", "tiny", text)
    monkeypatch.chdir(made.folder)
    return made


def take(file, capsys, status=0):
    """Import a file; what was printed."""
    capsys.readouterr()
    assert main(["import", str(file)]) == status
    printed = capsys.readouterr()
    return printed.err if status else printed.out


def planned():
    studies = load_studies(layout.STUDIES)
    return Plan(studies, {}, imports.read())


@pytest.mark.thorough
def test_evidence_of_an_import_is_that_of_the_machine_that_trained(
    exported, clone, finished_workspace, capsys, tmp_path
):
    assert "tiny: stands for 2 of 2 cells" in take(exported, capsys)
    assert list(planned().made_from_data("tiny")) == []
    status, output = clone.run()
    assert status == 0, output
    assert "5 jobs: 1 collect, 1 figure, 1 table, 1 verdicts, 1 metrics" in output
    assert not Path(layout.PREPARED).exists()
    for name in COMPARED:
        made, wanted = (folder / "results/tiny" / name for folder in (clone, finished_workspace))
        assert made.read_bytes() == wanted.read_bytes(), name
    assert main(["plan", "tiny"]) == 0
    assert main(["explain", "results/tiny/figures/accuracy_by_width.png"]) == 0
    printed = capsys.readouterr().out
    assert "tiny: 2 cells, 2 of its cells imported; all 5 jobs are done" in printed
    assert "imported: data/imports/tiny.h5" in printed
    # What was imported is exported again, as it was.
    again = tmp_path / "again.h5"
    assert main(["export", "tiny", str(again)]) == 0
    for name in exports.TABLES:
        left, right = (exports.read_table(file, name) for file in (again, exported))
        assert left.equals(right), name


def test_only_what_an_import_lacks_is_trained_here(exported, clone, capsys):
    take(exported, capsys)
    third = "model.width: [3], optimizer.lr: [0.1], seed: "
    clone.edit("config/studies/tiny.yaml", f"{third}[0]", f"{third}[0, 1]")
    plan = planned()
    assert plan.packs["tiny"] == {"width=3_pack=0": ("width=3,lr=0.1,seed=1",)}
    assert plan.collect("tiny").inputs["imports"] == ["data/imports/tiny.h5"]
    assert "stands for 2 of 3 cells" in (told := take(exported, capsys))
    assert "1 cell to be trained here (not in the file): width=3,lr=0.1,seed=1" in told


def test_a_new_probe_names_the_cells_to_train(exported, clone, capsys):
    take(exported, capsys)
    clone.edit("config/studies/tiny.yaml", "probes: [performance]", "probes: [performance, margin]")
    assert list(planned().packs["tiny"].values()) == [(CELLS[0],), (CELLS[1],)]
    (told,) = imports.unused(imports.read(), load_studies(layout.STUDIES)["tiny"])
    assert "2 cells that cannot be used (probe 'margin' was not measured by this code)" in told
    assert told.endswith(f"to be trained here: {CELLS[0]}, {CELLS[1]}.")
    assert "probe 'margin' was not measured" in take(exported, capsys, status=1)


def test_a_machine_with_other_data_refuses(exported, clone, finished_workspace, capsys):
    take(exported, capsys)
    (labelled,) = [Path(path) for path in planned_without_imports().data("tiny")]
    with storage.writing(labelled, "labelled", {}) as file:
        file.attrs["digest"] = "other"
    assert planned().imported["tiny"] == {}
    assert f"trained on other labelled data than {labelled} holds" in take(exported, capsys, status=1)
    shutil.copy(finished_workspace / str(labelled), labelled)
    assert list(planned().imported["tiny"]) == CELLS


def planned_without_imports():
    return Plan(load_studies(layout.STUDIES), {})


@pytest.fixture
def forged(exported, tmp_path):
    """Makes a copy of the export that somebody changed, with the right digest of its content."""

    def change(edit):
        path = tmp_path / "forged.h5"
        with h5py.File(exported) as source, storage.writing(path, exports.KIND, {}) as file:
            for name in source:
                source.copy(name, file)
            file.attrs["study"] = source.attrs["study"]
            edit(file)
        return path

    return change


def beyond_its_words(file):
    file["history/quantity"][...] = 99


def unknown_quantity(file):
    del file["history"]
    table = exports.empty("history")
    table.loc[0] = [CELLS[0], 0.0, "<script>", 1.0, "exact"]
    compact.write_table(file, "history", table)


def endless(file):
    del file["history/value"]
    file["history"].create_dataset("value", shape=(2**45,), chunks=(2**16,), dtype=np.float64, compression="gzip")


def another_shape(file):
    del file["cells/origin"]
    file["cells"].create_dataset("origin", data=np.zeros((2, 2)))


def nested(file):
    del file["data/facts words"]
    file["data"].create_dataset("facts words", data=np.frombuffer(b"[" * 10**5, np.uint8))


def a_link(file):
    file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")


@pytest.mark.parametrize("edit", [beyond_its_words, unknown_quantity, endless, another_shape, nested, a_link])
def test_a_hostile_file_is_refused_in_one_sentence(edit, forged, clone, capsys):
    told = take(forged(edit), capsys, status=1)
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert "forged.h5" in told
    assert not layout.IMPORTS.exists()


def test_a_damaged_file_is_refused(exported, clone, tmp_path, capsys):
    content = bytearray(exported.read_bytes())
    content[len(content) // 2] ^= 4
    damaged = tmp_path / "damaged.h5"
    for broken in (content, content[:1000], b"", b"epoch,loss\n"):
        damaged.write_bytes(broken)
        assert "damaged.h5: is damaged or no HDF5 file" in take(damaged, capsys, status=1)
    assert "ends with .h5" in take(tmp_path / "tiny.csv", capsys, status=1)
    # One that was damaged after it was imported is named by whoever plans.
    take(exported, capsys)
    (layout.IMPORTS / "tiny.h5").write_bytes(content)
    with pytest.raises(imports.UserError, match=r"data/imports/tiny\.h5: is damaged"):
        planned()


def without_measurements(file):
    """As the export of a study that trained the same cells and has other probes."""
    for name in ("checkpoints", "measurements"):
        del file[name]
        compact.write_table(file, name, exports.empty(name))


@pytest.mark.parametrize("poor_first", [True, False])
def test_of_the_files_that_hold_a_cell_that_counts_which_measured_most(poor_first, exported, forged, clone):
    study = load_studies(layout.STUDIES)["tiny"]
    poor = forged(without_measurements)
    paths = [poor, exported] if poor_first else [exported, poor]
    assert {source.path for source in imports.read(paths).cells(study, any_code=True).values()} == {exported}
    assert {source.path for source in imports.read(paths).cells(study).values()} == {exported}
    assert {source.path for source in imports.read([poor]).cells(study, any_code=True).values()} == {poor}
    assert not imports.read([poor]).cells(study)


@pytest.mark.parametrize("own_first", [True, False])
def test_of_the_files_that_measured_as_much_the_study_s_own_counts(own_first, exported, forged, clone):
    study = load_studies(layout.STUDIES)["tiny"]
    of_another = forged(lambda file: file.attrs.update(study="another"))
    paths = [exported, of_another] if own_first else [of_another, exported]
    assert {source.path for source in imports.read(paths).cells(study).values()} == {exported}
    assert {source.path for source in imports.read([of_another]).cells(study).values()} == {of_another}


def test_draws_are_exported_and_imported_too(clone, tmp_path, capsys):
    folder = Path(layout.SIMULATIONS)
    folder.mkdir()
    (folder / "small.yaml").write_text(
        "title: Small\nbase: {simulation: random_matrix, columns: 3}\n"
        "grid: {rows: [6, 7], distribution: [normal], seed: 0..3}\ntables: [draws]\n"
    )
    simulation = load_simulations(folder, {})["small"]
    here = Plan({}, {"small": simulation})
    for key, name in here.points["small"].items():
        point = simulation.points[name]
        made_by = provenance.record({"point": point_settings(point)})
        simulations.simulate_point(name, point, layout.point("small", key), provenance=made_by)
    file = tmp_path / "small.h5"
    assert main(["export", "small", str(file)]) == 0
    assert "stands for 2 of 2 points" in take(file, capsys)
    there = Plan({}, {"small": simulation}, imports.read())
    assert list(there.made_from_data("small")) == []
    files = [Path(path) for path in here.collect_simulation("small").inputs["points"]]
    collect_simulation(simulation, files, tmp_path / "here.h5", tmp_path / "here.csv")
    taken = imported.of_simulation(simulation, there.imports)
    collect_simulation(simulation, [], tmp_path / "there.h5", tmp_path / "there.csv", taken)
    assert (tmp_path / "here.csv").read_text() == (tmp_path / "there.csv").read_text()


CHAIN = """
title: Chain
base:
  dataset: {name: gaussian, image_size: 4, channels: 1, n_train: 100, n_test: 40}
  labels: {name: teacher, train_size: 60, test_size: 20, teacher_width: 2, margin: 0.1, minority_share: 0.1}
  model: {name: mlp, width: 4, depth: 1}
  training: {batch_size: 20, epochs: 1}
grid:
  arm:
    a: {}
    b: {after: {origin: a, weights: 0, prune: [0.2]}}
    c: {after: {origin: b, weights: 0, prune: [0.5]}}
  seed: [0, 1]
probes: [performance]
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A project with a study of networks that come after others, of which all is imported and nothing is trained."""
    folder = tmp_path_factory.mktemp("chain")
    (folder / "config/studies").mkdir(parents=True)
    config = (Path(__file__).resolve().parents[2] / "config/config.yaml").read_text()
    (folder / "config/config.yaml").write_text(re.sub(r"(?m)^studies: .*$", "studies: [chain]", config))
    (folder / "config/studies/chain.yaml").write_text(CHAIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        training_command.main(["chain", "--device", "cpu"])
        assert main(["export", "chain", "chain.h5"]) == 0
        shutil.rmtree("results")
        shutil.rmtree(".gengap")
        assert main(["import", "chain.h5"]) == 0
    return folder


@pytest.mark.parametrize(
    ("old", "new", "trained"),
    [
        ("[0.5]", "[0.5]", ""),
        ("seed: [0, 1]", "seed: [0, 1, 2]", "a2 b2 c2"),
        ("[0.5]", "[0.4]", "a0 a1 b0 b1 c0 c1"),
        (
            "  seed: [0, 1]",
            "    d: {after: {origin: b, weights: 0, prune: [0.7]}}\n  seed: [0, 1]",
            "a0 a1 b0 b1 d0 d1",
        ),
        ("  seed: [0, 1]", "    d: {after: {origin: a, weights: last}}\n  seed: [0, 1]", "a0 a1 d0 d1"),
    ],
)
def test_what_other_networks_start_from_is_trained_again(old, new, trained, chain, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "project"
    shutil.copytree(chain, folder, symlinks=True)
    monkeypatch.chdir(folder)
    (folder / "config/studies/chain.yaml").write_text(CHAIN.replace(old, new))
    study = load_studies(layout.STUDIES)["chain"]
    cells = [
        study.cells[name]
        for names in Plan({"chain": study}, {}, imports.read()).packs["chain"].values()
        for name in names
    ]
    assert " ".join(sorted(f"{cell.arm}{cell.seed}" for cell in cells)) == trained
    told = " ".join(imports.unused(imports.read(), study))
    assert ("start from its weights" in told) is (trained[:2] == "a0")
    training_command.main(["chain", "--device", "cpu"])
    assert main(["export", "chain", "again.h5"]) == 0
    assert f"{len(study.cells)} of {len(study.cells)} cells" in capsys.readouterr().out
