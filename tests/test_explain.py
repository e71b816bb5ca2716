"""The chain that `gengap explain` prints, on a study that real Snakemake ran."""

import datetime
import json
import shutil
from pathlib import Path

import h5py
import pytest
from stored import edited

from gengap.cli import main
from gengap.cli.explain import explain
from gengap.errors import UserError
from gengap.files.lineage import follow

ROOT = Path(__file__).resolve().parents[1]
FIGURE = "results/tiny/figures/accuracy_by_width.pdf"
PACKS = "results/tiny/packs"


WHOLE = " the content that the next one was made from."


def told(workspace, path=FIGURE):
    return "\n".join(explain(workspace / path, workspace.folder))


def attributes(path):
    with h5py.File(path) as file:
        return dict(file.attrs)


def test_a_figure_is_followed_to_the_raw_data(workspace):
    shutil.copy(ROOT / "data/sources.csv", workspace / "data")
    text = told(workspace)
    (labelled,) = (workspace / "data/labelled").glob("*/*.h5")
    steps = [line.split(":")[0] for line in text.splitlines() if line.startswith(("├", "└"))]
    assert steps == [
        "├ measurements",
        "├ what the probes measured",
        "├ trained networks",
        "├ labelled data",
        "├ prepared data",
        "└ raw data",
    ]
    said = attributes(labelled)
    assert f"2 classes, digest {said['digest'][:12]}" in text
    assert "teacher_seed 0" in text
    assert "2 cells: 1 finished, 1 stuck" in text
    assert text.count("1 cell, settings ") == 4
    assert json.loads(said["provenance"])["commit"][:12] in text
    assert "versions of the numbers: data " in text
    assert "gaussian, original: drawn by gengap" in text
    assert f"All 10 files have{WHOLE}" in text


def test_times_are_those_of_the_job(finished_workspace):
    (made,) = (one for path, one in follow_figure(finished_workspace).items() if path.name == "measurements.h5")
    written = datetime.datetime.fromisoformat(made.provenance["written"]).timestamp()
    assert made.started <= written + 1
    assert written <= made.started + made.seconds + 1
    shown = datetime.datetime.fromtimestamp(made.started, datetime.UTC)
    assert f"made {shown:%Y-%m-%d %H:%M:%S} UTC, in {made.seconds:.1f} s, by rule collect" in told(finished_workspace)


def follow_figure(workspace):
    return follow((workspace / FIGURE).relative_to(workspace.folder), workspace.folder)


def test_every_result_can_be_explained(finished_workspace):
    files = [path for top in ("results", "data") for path in (finished_workspace / top).rglob("*") if path.is_file()]
    files = [path for path in files if "logs" not in path.parts and "raw" not in path.parts]
    assert len(files) > 15
    for path in files:
        assert told(finished_workspace, path).splitlines()[-1].endswith(WHOLE), path


def test_a_file_that_was_replaced_breaks_the_chain(workspace):
    replaced = f"{PACKS}/width=2_pack=0/probes/performance.h5"
    with edited(workspace / replaced) as file:
        file.attrs["note"] = "edited by hand"
    assert f"  {replaced} has changed since results/tiny/measurements.h5 was made from it" in told(workspace)
    (workspace / replaced).unlink()
    assert f"  {replaced} is gone since results/tiny/measurements.h5 was made from it" in told(workspace)


def test_edited_code_is_said(workspace):
    assert "EDITED" not in told(workspace)
    with (workspace / "src/gengap/evidence/figures/accuracy_by_width.py").open("a") as module:
        module.write("# edited\n")
    assert "  EDITED since: src/gengap/evidence/figures/accuracy_by_width.py" in told(workspace)


def test_without_records_a_file_says_what_it_knows_itself(workspace):
    shutil.rmtree(workspace / ".snakemake/metadata")
    text = told(workspace)
    assert "Nothing is recorded of it" in text
    text = told(workspace, f"{PACKS}/width=2_pack=0/weights.h5")
    assert "1 cell, settings " in text
    assert "Of 1 of 1 file it is not recorded what they were made from." in text


@pytest.mark.thorough
def test_a_long_name_has_its_record_too(workspace, tmp_path):
    """Snakemake cuts a record's name into folders where the file system would not take it."""
    name = "s_" + "_".join(map(str, range(73)))  # 210 characters, no repetition, which Snakemake refuses, no number
    study = workspace / "config/studies/tiny.yaml"
    study.rename(study.with_stem(name))
    workspace.edit("config/config.yaml", "studies: [tiny]", f"studies: [{name}]")
    status, output = workspace.run("--force", f"results/{name}/cells.csv", "--until", "collect")
    assert status == 0, output
    assert explain(workspace / f"results/{name}/cells.csv", workspace.folder)[-1].endswith(WHOLE)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("results/no.pdf", "there is no such file"),
        ("/etc/passwd", "outside"),
        ("config/config.yaml", "is not made by a run. Name a file below results or data."),
        ("config/studies/tiny.yaml", "is not made by a run"),
        ("Snakefile", "is not made by a run"),
    ],
)
def test_a_wrong_name_is_one_message(finished_workspace, name, words, monkeypatch, capsys):
    monkeypatch.chdir(finished_workspace.folder)
    with pytest.raises(UserError, match=words):
        explain(finished_workspace / name, finished_workspace.folder)
    assert main.main(["explain", name]) == 1
    assert words in capsys.readouterr().err


def test_the_command_prints_it(finished_workspace, monkeypatch, capsys):
    monkeypatch.chdir(finished_workspace.folder)
    assert main.main(["explain", FIGURE]) == 0
    assert capsys.readouterr().out.startswith(FIGURE)
