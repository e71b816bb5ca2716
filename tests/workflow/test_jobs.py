"""The rules have exactly the jobs of `gengap.studies.jobs`: outputs of studies, and all that a run recorded."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from gengap import layout
from gengap.files import storage
from gengap.snakemake_support import records
from gengap.studies.jobs import Plan
from gengap.studies.names import study_names
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


def kind(job):
    """What a job's rule has to say of it: all rules of figures are made by one loop, and so are those of tables."""
    rule = job.rule.partition("_")[0] if job.rule.startswith(("figure_", "table_")) else job.rule
    return rule, *sorted(name for name, files in job.inputs.items() if files), *sorted(job.outputs)


def covering(plan, names):
    """Few of these studies and simulations, with jobs of every kind that any of them has."""
    jobs = {name: [*plan.made_from_data(name), *plan.evidence(name)] for name in names}
    kinds = {name: {kind(job) for job in made} for name, made in jobs.items()}
    left, chosen = set().union(*kinds.values()), []
    while left:
        chosen.append(max(kinds, key=lambda name: len(kinds[name] & left) / len(jobs[name])))
        left -= kinds[chosen[-1]]
    return chosen


def test_outputs_of_studies_are_those_of_their_rules(make_workspace, tmp_path):
    """Of few of the project's studies, which have jobs of all kinds."""
    workspace = make_workspace(tmp_path / "project", "unused", "")
    for path in (layout.STUDIES, layout.SIMULATIONS):
        shutil.rmtree(workspace / str(path), ignore_errors=True)
        shutil.copytree(REPOSITORY / path, workspace / str(path))
    workspace.edit("config/config.yaml", "studies: [unused]", "studies: [quickstart]")
    names = study_names(workspace.folder / layout.STUDIES)
    simulations = load_simulations(workspace.folder / layout.SIMULATIONS, names)
    studies = load_studies(
        workspace.folder / layout.STUDIES, [name for name in names if f"{name}-reduced" not in names]
    )
    every = Plan(studies, simulations)
    small = [name for name in studies if len(every.packs[name]) < 60]
    small += [name for name in simulations if f"{name}-reduced" not in simulations]
    assert len(small) > 50
    chosen = covering(every, small)
    made = Plan(
        {name: studies[name] for name in chosen if name in studies},
        {name: simulations[name] for name in chosen if name in simulations},
    )
    assert made.studies
    assert made.simulations
    status, output = workspace.run("--summary", *chosen)
    assert status == 0, output
    table = output[output.index("output_file") :].splitlines()
    rules = {(row["output_file"], row["rule"]) for row in csv.DictReader(table, delimiter="\t")}
    assert {(path, job.rule) for job in jobs(made) for path in job.outputs.values()} == rules
    assert len(rules) > 100


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
