"""What a command line of Snakemake asks for, and that nothing else is read."""

import os
import sys

import pytest

from gengap.errors import UserError
from gengap.snakemake_support import targets
from gengap.studies import study
from gengap.studies.names import study_names
from gengap.studies.project import load_project

SNAKEMAKE = "/usr/lib/python/snakemake/__main__.py"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["all"]),
        (["-n", "--cores", "2"], ["all"]),
        (["all"], ["all"]),
        (["data"], ["all"]),
        (["tiny", "song-reduced", "--cores", "2"], ["tiny", "song-reduced"]),
        (["--config", "device=cpu", "-n", "--", "tiny"], ["tiny"]),
        (["results/tiny/cells.csv", "data"], ["tiny", "all"]),
        (["data/prepared/digits.h5"], ["data/prepared/digits.h5"]),
        (["--target-jobs", "train:study=tiny,pack=width=2_pack=0", "--mode", "remote"], ["tiny"]),
        (["--target-jobs", "prepare:dataset=digits"], [""]),
        (["--forcerun", "train", "--", "tiny"], ["tiny"]),
    ],
)
def test_words_of_a_command_line(arguments, words):
    assert targets.asked([SNAKEMAKE, *arguments]) == words


@pytest.mark.parametrize("option", ["--lint", "--list-rules", "--list-target-rules", "-l"])
def test_options_that_are_about_every_rule(option):
    assert targets.asked([SNAKEMAKE, option, "tiny"]) is None


def test_another_program_asks_for_everything():
    assert targets.asked([sys.executable, "tiny"]) is None


@pytest.fixture
def opened(workspace, monkeypatch):
    """The study files that were checked; `broken.yaml` has a mistake."""
    monkeypatch.chdir(workspace.folder)
    for name in ("other", "broken"):
        text = (workspace / "config/studies/tiny.yaml").read_text()
        text += "reduced: {grid: {model.width: [2]}}\n" if name == "other" else "colour: red\n"
        (workspace / f"config/studies/{name}.yaml").write_text(text)
    (workspace / "config/papers.yaml").write_text("both: {source: Nobody, studies: [tiny, other]}\n")
    names, read = [], study.read_yaml
    monkeypatch.setattr(study, "read_yaml", lambda path: names.append(path.stem) or read(path))
    return names


@pytest.mark.parametrize(
    ("asked", "files", "studies"),
    [
        (["tiny"], ["tiny"], ["tiny"]),
        (["other-reduced"], ["other"], ["other-reduced"]),
        (["both"], ["other", "tiny"], ["other", "tiny"]),
        (["both-reduced"], ["other", "tiny"], ["other-reduced", "tiny"]),
        (["all"], ["tiny"], ["tiny"]),
    ],
)
def test_only_what_is_asked_for_is_read(opened, asked, files, studies):
    project = load_project(asked=asked)
    assert (sorted(opened), list(project.studies)) == (files, studies)
    assert list(project.names) == ["broken", "other", "other-reduced", "tiny"]


@pytest.mark.parametrize("asked", [None, ["tinny"], ["tiny", "data/prepared/digits.h5"]])
def test_else_everything_is(opened, asked):
    with pytest.raises(UserError, match=r"broken.yaml: colour: unknown key"):
        load_project(asked=asked)


def test_a_mistake_in_another_study_stops_no_run(opened, workspace):
    status, output = workspace.run("--dry-run", "tiny")
    assert (status, "Nothing to be done" in output) == (0, True), output
    assert workspace.run("--dry-run", "other-reduced")[0] == 0
    status, output = workspace.run("--dry-run", "broken")
    assert status == 1
    assert "config/studies/broken.yaml: colour: unknown key" in output


@pytest.mark.parametrize(
    "content", [b"title: reduced: [", b"title: \xff reduced", None], ids=["yaml", "text", "device"]
)
def test_a_file_that_cannot_be_read_stops_no_other_study(opened, workspace, content):
    path = workspace / "config/studies/broken.yaml"
    path.unlink()
    path.symlink_to(os.devnull) if content is None else path.write_bytes(content)
    assert list(load_project(asked=["tiny"]).studies) == ["tiny"]
    with pytest.raises(UserError, match=r"config/studies/broken.yaml: "):
        load_project()


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("packs/width=9_pack=0/weights.h5", "results/tiny/packs: unknown pack 'width=9_pack=0'"),
        ("packs/pack=7/probes/performance.h5", "results/tiny/packs: unknown pack 'pack=7'"),
        (
            "packs/width=2_pack=0/probes/wrong.h5",
            "error: results/tiny/packs/width=2_pack=0/probes/wrong.h5: tiny makes no such file",
        ),
    ],
)
def test_a_file_of_nothing_is_one_message(workspace, file, words):
    status, output = workspace.run("--dry-run", f"results/tiny/{file}")
    assert status == 1
    assert words in output
    assert "Traceback" not in output


def test_the_key_is_found_in_every_style(opened, workspace):
    for text in ("{title: A, reduced: {grid: {}}}", '"reduced": {}\ntitle: A', "title: A\nreduced:\n  grid: {}"):
        (workspace / "config/studies/broken.yaml").write_text(text)
        assert "broken-reduced" in study_names(workspace / "config/studies")
    for text in ("title: reduced", "title: |\n  reduced: no\n", "base: {reduced: 1}"):
        (workspace / "config/studies/broken.yaml").write_text(text)
        assert "broken-reduced" not in study_names(workspace / "config/studies")


def test_a_process_that_runs_a_job_of_another_reads_its_study_alone(opened, workspace):
    weights = "results/tiny/packs/width=2_pack=0/weights.h5"
    job = "train:study=tiny,pack=width=2_pack=0"
    arguments = ("--target-jobs", job, "--allowed-rules", "train", "--mode", "subprocess", "--force")
    before = (workspace / weights).stat().st_ino
    status, output = workspace.run(*arguments)
    assert status == 0, output
    assert (workspace / weights).stat().st_ino != before
