"""What a study is predicted to cost."""

import dataclasses
from pathlib import Path

import pytest

from gengap.cost import estimate, schedule, text
from gengap.files import timings
from gengap.files.timings import Compared, Timing
from gengap.probes.checkpoints import planned_epochs
from gengap.studies.identity import measured_epochs
from gengap.studies.jobs import Plan
from gengap.studies.simulation import load_simulation
from gengap.studies.study import Probe, load_study

STUDY = """
title: t
base:
  dataset: {name: gaussian, image_size: 8, n_train: 300, n_test: 100}
  labels: {name: teacher, train_size: 200, test_size: 50}
  training: {batch_size: 50, epochs: 4, snapshots: [0, 1, 2]}
grid: {model.width: [4, 8], seed: 0..2}
probes: [{name: margin, samples: 100}, {name: distance, epochs: last}]
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(STUDY)
    return load_study(path)


def one_second_per_cell(trainings):
    return [float(len(training.cells)) for training in trainings]


def estimator(plan, known=(), *, cores=2, calibrate=one_second_per_cell, due=None):
    """Of a plan of which nothing is there, so that all its jobs are due, or those with these rules."""
    jobs = [plan.prepare(key) for key in plan.datasets] + [plan.label(*keys) for keys in plan.labels]
    for name in (*plan.studies, *plan.simulations):
        jobs += [*plan.made_from_data(name), *plan.evidence(name)]
    files = {Path(path) for job in jobs if not due or job.rule in due for path in job.outputs.values()}
    return estimate.Estimator(plan, files, list(known), cores, Path("store"), calibrate)


@pytest.fixture
def plan(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Plan({study.name: study}, {})


def ran(one, seconds, fixed=0.0, **others):
    """As if a planned job had run."""
    return Timing("s", one.part, one.name, one.kind, one.work, seconds, fixed=fixed, threads=one.threads, **others)


def test_jobs_that_have_not_run_are_predicted_from_calibration_or_not_at_all(plan):
    planned = estimator(plan).planned("s")
    training = [one for one in planned if one.name == "train"]
    assert [(one.part, one.to_do, one.of, one.seconds, one.work) for one in training] == [
        ("width=4_pack=0", 3, 3, 3.0, 3 * 4 * 200),
        ("width=8_pack=0", 3, 3, 3.0, 3 * 4 * 200),
    ]
    assert training[1].memory > training[0].memory > 3 * 721 * 4
    assert {one.seconds for one in planned if one.name != "train"} == {None}
    # Four snapshots with the last epoch; the last epoch alone.
    assert [one.to_do for one in planned if one.name in ("margin", "distance")] == [12, 3, 12, 3]
    assert len(planned) == estimator(plan).total("s")


def test_jobs_that_have_run_give_the_pace_of_their_kind(plan):
    first = [one for one in estimator(plan).planned("s") if one.name in ("margin", "distance")]
    known = [ran(one, 5.0 + 2.0 * one.work, fixed=5.0) for one in first]
    again = [one for one in estimator(plan, known).planned("s") if one.name in ("margin", "distance")]
    assert [one.seconds for one in again] == [5 + 24, 5 + 6, 5 + 24, 5 + 6]


def test_more_cells_are_predicted_from_fewer(study, plan):
    """Another number of seeds is another size of the same kind; training more networks together costs less of each."""
    first = estimator(plan).planned("s")
    known = [ran(one, 4.0 + one.work / 100, fixed=4.0, networks=3) for one in first]
    cells = {f"{name},again={k}": cell for k in range(4) for name, cell in study.cells.items()}
    larger = Plan({"s": study.model_copy(update={"cells": cells})}, {})
    few = {(one.part, one.job): one.seconds for one in known}
    for one in estimator(larger, known).planned("s"):
        in_proportion = 4.0 + one.work / 100
        if one.name == "train":
            assert few[one.part, one.name] < one.seconds < in_proportion
        else:
            assert one.seconds == pytest.approx(in_proportion), one.name


def test_a_probe_that_ran_at_one_width_is_predicted_at_another(study, plan):
    probes = [one for one in estimator(plan).planned("s") if one.name in ("margin", "distance")]
    known = [ran(one, 3.0 + one.work, fixed=3.0) for one in probes if one.part == "width=4_pack=0"]
    found = estimator(plan, known).planned("s")
    again = {(one.part, one.name): one for one in found if one.name in ("margin", "distance")}
    sizes = [estimate.checkpoint_size(study.probes[0], plan.cell("s", f"width={width}_pack=0")) for width in (4, 8)]
    for name, work in (("margin", 12), ("distance", 3)):
        assert again["width=4_pack=0", name].seconds == 3 + work
        wide = again["width=8_pack=0", name]
        assert wide.seconds == pytest.approx(3 + work * sizes[1] / sizes[0])
        assert (wide.from_other_sizes, again["width=4_pack=0", name].from_other_sizes) == (True, False)
    assert 2 < sizes[1] / sizes[0] < 4  # a convolution of the input and one within
    said = "\n".join(text.describe(found, 60.0, 2))
    assert "from networks of other sizes, so less certain: distance, margin" in said
    assert "margin" not in said.split("not known, since")[1]


def training_jobs(found):
    return {one.part: one for one in found if one.name == "train"}


def test_training_that_ran_at_one_width_is_predicted_at_another(plan):
    first = training_jobs(estimator(plan).planned("s"))["width=4_pack=0"]
    known = [ran(first, 3.0 + first.work / 100, fixed=3.0, networks=3)]
    found = training_jobs(estimator(plan, known).planned("s"))
    sizes = [estimate.training_size(plan.cell("s", f"width={width}_pack=0")) for width in (4, 8)]
    assert found["width=4_pack=0"].seconds == pytest.approx(3.0 + first.work / 100)
    assert found["width=8_pack=0"].seconds == pytest.approx(3.0 + first.work / 100 * sizes[1] / sizes[0])
    assert [one.from_other_sizes for one in found.values()] == [False, True]
    said = "\n".join(text.describe(list(found.values()), 60.0, 2))
    assert "from networks of other sizes, so less certain: train" in said


@pytest.mark.parametrize(
    ("old", "new", "known_again"),
    [
        ("minority_share: 0.3", "minority_share: 0.1", True),
        ("teacher_seed: 0", "teacher_seed: 5", True),
        ("n_test: 100", "n_test: 100, data_seed: 3", True),
        ("epochs: 4", "epochs: 12", True),
        ("train_size: 200", "train_size: 100", False),
        ("batch_size: 50", "batch_size: 40", False),
    ],
)
def test_what_changes_no_speed_needs_no_new_measurement(tmp_path, monkeypatch, old, new, known_again):
    """Another share of labels is another result, and takes as long."""
    monkeypatch.chdir(tmp_path)
    text = STUDY.replace("{name: teacher,", "{name: teacher, minority_share: 0.3, teacher_seed: 0,")
    assert old in text
    kinds = []
    for number, content in enumerate((text, text.replace(old, new))):
        path = tmp_path / f"s{number}.yaml"
        path.write_text(content)
        cells = list(load_study(path).cells.values())
        kinds.append((estimate.training_kind(cells), estimate.probe_kind(load_study(path).probes[0], cells[0])))
    assert (kinds[0][0] == kinds[1][0]) == known_again


def test_steps_that_are_compiled_are_not_predicted_from_steps_that_were_not(study, plan):
    """Thirty times the epochs compile: their pace is another one, which a calibration estimates."""
    first = training_jobs(estimator(plan).planned("s"))["width=4_pack=0"]
    known = [ran(first, 3.0 + first.work / 100, fixed=3.0, networks=3)]
    cells = {
        name: cell.model_copy(update={"training": cell.training.model_copy(update={"epochs": 100_000})})
        for name, cell in study.cells.items()
    }
    longer = Plan({"s": study.model_copy(update={"cells": cells})}, {})
    assert estimate._training(list(cells.values())[:3], 1).compiles
    assert not estimate._training(list(study.cells.values())[:3], 1).compiles
    assert training_jobs(estimator(longer, known).planned("s"))["width=4_pack=0"].seconds == 3.0  # one second per cell


def test_only_due_jobs_are_planned(plan):
    planned = estimator(plan, due={"probe"}).planned("s")
    assert [(one.part, one.name) for one in planned] == [
        (pack, probe) for pack in ("width=4_pack=0", "width=8_pack=0") for probe in ("margin", "distance")
    ]
    assert estimator(plan, due={"no rule"}).planned("s") == []


def known_for_all(plan, seconds):
    """A timing of every job of a plan: all of it fixed, by name."""
    planned = estimator(plan).planned("s")
    return [dataclasses.replace(ran(one, 1.0), seconds=seconds(one), fixed=seconds(one)) for one in planned]


def test_wall_time_waits_for_what_comes_before_and_for_cores(plan):
    """Data 1 + 1, training 10, two probes 5 each, then collecting, verdicts and metrics 1 each, one after another."""
    by_name = {"train": 10.0, "margin": 5.0, "distance": 5.0}
    known = known_for_all(plan, lambda one: by_name.get(one.name, 1.0))
    after = 2.0 + 3.0 + schedule.RUN_SECONDS
    two = estimator(plan, known, cores=2).planned("s")
    assert schedule.wall_seconds(two, 2) == after + 10 + 5 + 5
    one = estimator(plan, known, cores=1).planned("s")
    assert schedule.wall_seconds(one, 1) == after + 2 * (10 + 5 + 5)
    assert schedule.wall_seconds([], 2) == 0.0


def test_a_probe_at_chosen_epochs_measures_that_many_checkpoints(study):
    cell = next(iter(study.cells.values()))
    assert planned_epochs(cell) == [0.0, 1.0, 2.0, 4.0]
    for epochs, expected in (("snapshots", [0.0, 1.0, 2.0, 4.0]), ("last", [4.0]), ([1, 4], [1.0, 4.0])):
        probe = Probe.model_validate({"name": "distance", "epochs": epochs})
        assert measured_epochs(probe, planned_epochs(cell)) == expected


def test_a_simulation_is_planned_by_point(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "s.yaml"
    path.write_text("title: t\nbase: {simulation: linear_gradient, depth: 2}\ngrid: {width: [2, 4], seed: 0..9}\n")
    simulation = load_simulation(path)
    planned = estimator(Plan({}, {"s": simulation})).planned("s")
    assert [(one.name, one.to_do, one.seconds) for one in planned if one.name == "simulate"] == [
        ("simulate", 10, None)
    ] * 2
    known = [ran(one, 2.0 + one.work, fixed=2.0) for one in planned if one.work == 10]
    again = estimator(Plan({}, {"s": simulation}), known).planned("s")
    assert [one.seconds for one in again if one.name == "simulate"] == [12.0, 12.0]


def test_the_text_says_at_least_while_a_part_is_unknown(plan):
    planned = estimator(plan, calibrate=lambda trainings: [7200.0] * len(trainings)).planned("s")
    said = "\n".join(text.describe(planned, 7200.0, 2))
    assert "width=8_pack=0" in said
    assert "wall time: at least 2.0 h on 2 cores" in said
    assert "margin: 2 jobs, 24 of 24 checkpoints to measure, time not known" in said
    assert "since none of their kind has run on this machine:\n    distance, margin, collect, label and " in said
    assert said.endswith("other kinds of job")


def test_job_time_and_wall_time_are_told_apart(plan):
    planned = estimator(plan, known_for_all(plan, lambda one: 60.0)).planned("s")
    said = "\n".join(text.describe(planned, 420.0, 2))
    assert "margin: 2 jobs, 24 of 24 checkpoints to measure, 2.0 min of job time" in said
    assert "wall time: 7.0 min on 2 cores" in said
    assert "at least" not in said
    assert "not known" not in said
    rows = estimate.predictions("s", planned, 420.0)
    assert len({one.written for one in rows}) == 1
    assert (rows[0].job, rows[0].work, rows[0].seconds) == (timings.WALL, len(planned), 420.0)
    assert len(rows) == len(planned) + 1


def test_many_packs_are_summed_up(study):
    """A plan of a thousand packs fits on one screen."""
    cell = next(iter(study.cells.values()))
    cells = {f"c={k}": cell for k in range(15)}
    small = study.model_copy(update={"cells": cells, "pack_size": 1})
    planned = estimator(Plan({"s": small}, {})).planned("s")
    said = text.describe(planned, 1.0, 2)
    assert len(said) < 22
    assert any("and 3 more packs: 3 cells to train" in line for line in said)


def test_a_comparison_says_what_it_compares():
    when = "2026-01-01T10:00:00+00:00"
    whole = text.compared(Compared(100.0, 110.0, when, 5, 5))
    assert whole == "  predicted 2026-01-01 10:00 UTC: 1.7 min wall time; it took 1.8 min (+10%)"
    part = text.compared(Compared(100.0, 50.0, when, 3, 5))
    assert "1.7 min job time of 3 of 5 jobs; it took 50 s (-50%)" in part
