"""The rules have exactly the jobs of `gengap.studies.jobs`: outputs of all studies, and all that a run recorded."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from gengap import layout
from gengap.files import storage
from gengap.snakemake_support import records
from gengap.studies.jobs import Plan
from gengap.studies.simulation import load_simulations
from gengap.studies.study import load_studies

REPOSITORY = Path(__file__).resolve().parents[2]


def plan(folder):
    studies = load_studies(folder / layout.STUDIES)
    return Plan(studies, load_simulations(folder / layout.SIMULATIONS, studies))


def jobs(plan):
    """All jobs of a plan."""
    yield from (plan.prepare(key) for key in plan.datasets)
    yield from (plan.label(*keys) for keys in plan.labels)
    for name in (*plan.studies, *plan.simulations):
        yield from plan.made_from_data(name)
        yield from plan.evidence(name)


def test_outputs_of_every_study_are_those_of_its_rules(make_workspace, tmp_path):
    """Of what has reduced settings, those, and nothing of hundreds of packs: more of them have no other rules."""
    workspace = make_workspace(tmp_path / "project", "unused", "")
    for path in (layout.STUDIES, layout.SIMULATIONS):
        shutil.rmtree(workspace / str(path), ignore_errors=True)
        shutil.copytree(REPOSITORY / path, workspace / str(path))
    workspace.edit("config/config.yaml", "studies: [unused]", "studies: [quickstart]")
    every = plan(workspace.folder)

    def small(targets):
        return {name: target for name, target in targets.items() if f"{name}-reduced" not in targets}

    studies = small(every.studies) | {"quickstart": every.studies["quickstart"]}
    studies = {name: study for name, study in studies.items() if len(every.packs[name]) < 60}
    assert len(studies) > 30
    made = Plan(studies, small(every.simulations))
    status, output = workspace.run("--summary", *made.studies, *made.simulations)
    assert status == 0, output
    table = output[output.index("output_file") :].splitlines()
    rules = {(row["output_file"], row["rule"]) for row in csv.DictReader(table, delimiter="\t")}
    assert {(path, job.rule) for job in jobs(made) for path in job.outputs.values()} == rules
    assert len(rules) > 1000


@pytest.fixture
def finished(finished_workspace, monkeypatch):
    monkeypatch.chdir(finished_workspace.folder)
    return plan(Path())


def test_what_a_run_recorded_is_what_the_plan_says(finished):
    found = list(jobs(finished))
    assert {job.rule for job in found} >= {"prepare", "label", "train", "probe", "collect", "verdicts", "metrics"}
    for job in found:
        for path in job.outputs.values():
            record = records.read(Path(path), Path())
            assert record["rule"] == job.rule
            assert record["input"] == sorted(job.files()), path
            assert sorted(record["params"]) == sorted(map(repr, job.params.values())), path


def test_files_say_of_themselves_what_the_plan_says(finished):
    """So that `python -m gengap.training` finds finished what Snakemake made, and the reverse."""
    for job in jobs(finished):
        if job.rule in ("train", "probe"):
            path = next(iter(job.outputs.values()))
            with storage.reading(Path(path), "weights" if job.rule == "train" else "probe") as file:
                settings = storage.provenance_of(file)["settings"]
            expected = {name: value for name, value in job.params.items() if name != "results_version"}
            assert settings == json.loads(json.dumps(expected)), path
