"""`gengap plan`, `snakemake -n` and the run that follows agree on every job, cell and checkpoint, whatever was edited.

One copy of the finished study takes all edits, one after another. What the plan says is left of cells and checkpoints
is compared with what the jobs themselves say, once on the way.
"""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import warm_python

from gengap import layout
from gengap.cli.main import main
from gengap.cost.plan import estimate
from gengap.errors import UserError
from gengap.snakemake_support import due
from gengap.studies import identity
from gengap.studies.simulation import load_simulations
from gengap.studies.study import load_studies

STUDY = "config/studies/tiny.yaml"
NARROW, WIDE = "width=2_pack=0", "width=3_pack=0"
RUNNING, SECOND = "{name: performance, batchnorm: running}", "performance_batchnorm=running"
GRID = """\
  - {model.width: [2], optimizer.lr: [0.1], seed: [0]}
  - {model.width: [3], optimizer.lr: [0.1], seed: [0]}
"""
FIXED = "  - {optimizer.lr: [0.1], seed: [0]}\n"


def planned(workspace, monkeypatch, study="tiny"):
    """The plan of a study: [(rule, name, part, what is left, of how many)]; code is the workspace's."""
    monkeypatch.chdir(workspace.folder)
    monkeypatch.setenv("PYTHONPATH", str(workspace / "src"))
    monkeypatch.setattr(sys, "executable", warm_python.interpreter())
    studies = load_studies(layout.STUDIES)
    known = {**studies, **load_simulations(layout.SIMULATIONS, studies)}
    monkeypatch.setattr(identity, "PACKAGE", workspace / "src/gengap")
    identity._content.cache_clear()
    found = estimate(known, 2, lambda: due.outputs([study]))
    estimator = dataclasses.replace(found, calibrate=lambda trainings: [1.0] * len(trainings))
    return [(one.job.rule, one.name, one.part, one.to_do, one.of) for one in estimator.planned(study)]


def messages(jobs, study="tiny"):
    """The messages that the rules of these jobs have."""
    said = {
        "prepare": "Preparing {part}",
        "label": "Labelling {dataset}: {labels}",
        "train": "Training {part} of {study}",
        "probe": "Measuring {name} on {part} of {study}",
        "collect": "Collecting {study}",
        "verdicts": "Judging {study}",
        "metrics": "Summing up {study}",
        "figure": "Drawing {labels} of {study}",
        "table": "Writing table {labels} of {study}",
    }
    found = set()
    for rule, name, part, *_ in jobs:
        kind, _, drawn = rule.partition("_")
        dataset, _, labels = part.partition("/")
        labels = drawn or labels
        message = said[kind]
        found.add(message.format(name=name, part=part, study=study, dataset=dataset, labels=labels))
    return found


def left(jobs):
    """What is left to do in the jobs that train and measure: {(name, part): (left, of)}."""
    return {(name, part): (to_do, of) for rule, name, part, to_do, of in jobs if rule in ("train", "probe")}


def edits(workspace):
    """Edits one after another: what it is, how it is made, and what is then left to do, where that is known."""

    def edit(old, new):
        return lambda: workspace.edit(STUDY, old, new)

    def remove(*paths):
        return lambda: [shutil.rmtree(workspace / str(path)) for path in paths]

    def code(path):
        return lambda: (workspace / path).write_text((workspace / path).read_text() + "# edited\n")

    def narrow(train, performance, **others):
        return {(name, NARROW): left for name, left in {"train": train, "performance": performance, **others}.items()}

    def wide(train, performance, **others):
        return {(name, WIDE): left for name, left in {"train": train, "performance": performance, **others}.items()}

    yield "nothing", lambda: None, {}
    yield "a title", edit("title: Tiny", "title: Small"), {}
    yield "a figure added", edit("[accuracy_by_width]", "[accuracy_by_width, learning_curves]"), {}
    yield "code of the engine", code("src/gengap/engine/stack.py"), {}
    modes = {(SECOND, NARROW): (2, 2), (SECOND, WIDE): (2, 2)}
    yield "a second BatchNorm mode", edit("[performance]", f"[performance, {RUNNING}]"), modes
    yield "it is removed", edit(f"[performance, {RUNNING}]", "[performance]"), {}
    # Another name for the pack, the same cell: all is in the store.
    yield (
        "an axis removed",
        edit(f"grid:\n{GRID}", f"  model: {{width: 2}}\ngrid:\n{FIXED}"),
        {("train", "pack=0"): (0, 1), ("performance", "pack=0"): (0, 2)},
    )
    yield "it is back", edit(f"  model: {{width: 2}}\ngrid:\n{FIXED}", f"grid:\n{GRID}"), {}
    yield "results of a pack deleted", remove(layout.pack("tiny", WIDE)), wide((0, 1), (0, 2))
    lost = wide((1, 1), (2, 2))
    yield "the store deleted", remove(layout.STORE), lost
    # What is in a pack's own files is kept without the store.
    more_seeds = edit("[0.1], seed: [0]}\n  -", "[0.1], seed: [0, 1]}\n  -")
    yield "more seeds", more_seeds, lost | narrow((1, 2), (2, 4))
    more_rates = edit("[0.1], seed: [0, 1]", "[0.1, 0.2], seed: [0, 1]")
    yield "another lr", more_rates, lost | narrow((3, 4), (6, 8))
    more_probes = edit("[performance]", "[performance, distance]")
    all_probes = narrow((3, 4), (6, 8), distance=(8, 8)) | wide((1, 1), (2, 2), distance=(2, 2))
    yield "a probe added", more_probes, all_probes
    last = wide((1, 1), (1, 1))
    options = edit("[performance, distance]", "[{name: performance, epochs: last}]")
    yield "options of a probe", options, last | narrow((3, 4), (3, 4))
    yield "code of a probe", code("src/gengap/probes/performance.py"), last | narrow((3, 4), (4, 4))
    everything = last | narrow((4, 4), (4, 4))
    yield "more epochs", edit("epochs: 1,", "epochs: 2,"), everything
    yield "prepared data deleted", remove(layout.PREPARED), everything
    yield "another label rule", edit("minority_share: 0.2", "minority_share: 0.1"), everything
    yield "another dataset", edit("n_train: 400", "n_train: 300"), everything


@pytest.mark.thorough
def test_the_plan_is_what_snakemake_would_run_after_any_edit(workspace, monkeypatch):
    for what, make, expected in edits(workspace):
        make()
        jobs = planned(workspace, monkeypatch)
        assert messages(jobs) == workspace.planned("tiny"), what
        assert left(jobs) == expected, what
        if what == "another lr":
            check_a_run(workspace.copy(workspace.folder.parent / "run"), monkeypatch)


def check_a_run(workspace, monkeypatch):
    """The jobs of a pack find left what the plan said, and afterwards it is as planned as it is for Snakemake."""
    workspace.edit(STUDY, "[performance]", f"[performance, {RUNNING}]")
    files = [str(layout.probe("tiny", NARROW, name)) for name in ("performance", SECOND)]
    status, output = workspace.run(*files)
    assert status == 0, output
    assert "3 of 4 cells are to be trained" in output
    logs = [
        (workspace / str(layout.log("tiny", "probe", NARROW, name))).read_text() for name in ("performance", SECOND)
    ]
    assert "performance: 6 of 8 checkpoints are to be measured" in logs[0]
    assert "performance: 8 of 8 checkpoints are to be measured" in logs[1]
    jobs = planned(workspace, monkeypatch)
    assert left(jobs) == {("train", WIDE): (1, 1), ("performance", WIDE): (2, 2), (SECOND, WIDE): (2, 2)}
    assert messages(jobs) == workspace.planned("tiny")


@pytest.mark.thorough
def test_no_library_complains_at_the_end_of_the_plan(workspace):
    """As those of PyTorch do, which measures the speed, where the garbage collector was told to leave them alone."""
    workspace.edit(STUDY, "batch_size: 20", "batch_size: 30")
    done = subprocess.run(
        [sys.executable, Path(sys.executable).with_name("gengap"), "plan", "tiny"],
        cwd=workspace.folder,
        env={**os.environ, "PYTHONPATH": str(workspace / "src")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tiny: 2 cells; ")


def test_a_paper_stands_for_its_studies_and_their_jobs_are_summed(workspace, monkeypatch, capsys):
    text = (workspace / STUDY).read_text()
    (workspace / "config/studies/other.yaml").write_text(text + "reduced: {grid: {model.width: [4]}}\n")
    (workspace / "config/papers.yaml").write_text("both: {source: Nobody, studies: [tiny, other]}\n")
    monkeypatch.chdir(workspace.folder)
    monkeypatch.setenv("PYTHONPATH", str(workspace / "src"))
    monkeypatch.setattr(sys, "executable", warm_python.interpreter())
    assert main(["plan", "both-reduced"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny: 2 cells; all 11 jobs are done"
    jobs = next(line for line in lines if line.startswith("other-reduced: ")).split(" of ")[0].split()[-1]
    assert lines[-1].startswith(f"together: {jobs} jobs to run, wall time: ")
    assert main(["status", "both"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if ": " in line] == ["tiny", "other"]
    assert main(["summary", "both"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("tiny: ")
    assert "results/other: there are no finished results" in told.err


def test_snakemake_is_ended_when_its_answer_is_not_wanted(tmp_path, monkeypatch):
    python, pid = tmp_path / "python", tmp_path / "pid"
    os.mkfifo(pid)
    python.write_text(f"#!/bin/sh\necho $$ > '{pid}'\nexec sleep 1000\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    started = []

    def find_a_mistake():
        with due.asked(["tiny"]):
            started.append(int(pid.read_text()))
            raise UserError("a mistake in the study")

    with pytest.raises(UserError, match="a mistake in the study"):
        find_a_mistake()
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)


def test_a_mistake_that_snakemake_finds_is_a_message(workspace, monkeypatch):
    monkeypatch.chdir(workspace.folder)
    monkeypatch.setenv("PYTHONPATH", str(workspace / "src"))
    (workspace / "Snakefile").write_text("rule broken:\n")
    with pytest.raises(UserError, match="snakemake tiny: cannot be planned"):
        due.outputs(["tiny"])
