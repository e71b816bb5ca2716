"""What a study is predicted to cost."""

import dataclasses
import itertools
import math
import time
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from gengap import models
from gengap.cost import calibration, estimate, schedule, text
from gengap.datasets import digits
from gengap.engine import stack
from gengap.files import timings
from gengap.files.timings import Compared, Timing
from gengap.probes.checkpoints import planned_epochs
from gengap.registry import REGISTRY
from gengap.studies.identity import measured_epochs
from gengap.studies.jobs import Plan
from gengap.studies.settings import Cell, Dataset, Schedule
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
    assert training_of(list(cells.values())[:3]).compiles
    assert not training_of(list(study.cells.values())[:3]).compiles
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


@pytest.fixture
def trainings(study):
    """One pack of either width."""
    return [training_of([cell for cell in study.cells.values() if cell.model.width == width]) for width in (4, 8)]


def training_of(cells):
    data = calibration.sizes(cells[0])
    arch = stack.architecture(models.build(cells[0].model, data.image_shape, data.n_outputs))
    return calibration.Training(arch, cells, data, 1)


def changed(training, **settings):
    """The same networks with other settings of training."""
    cells = [cell.model_copy(update={"training": cell.training.model_copy(update=settings)}) for cell in training.cells]
    return dataclasses.replace(training, cells=cells)


def clock(monkeypatch):
    """Each call of the clocks is a second after the one before."""
    ticks = itertools.count().__next__
    monkeypatch.setattr(calibration, "time", types.SimpleNamespace(perf_counter=ticks, process_time=ticks))


def test_a_calibration_grows_with_the_work(trainings, monkeypatch):
    assert min(calibration.calibrated(trainings)) > 0
    clock(monkeypatch)
    short, long = calibration.calibrated([trainings[0], changed(trainings[0], epochs=400)])
    assert short < long


def test_packs_of_equal_speed_are_measured_once(trainings, monkeypatch):
    measured = []
    monkeypatch.setattr(calibration, "_measured", lambda one: measured.append(one) or calibration._Speed(1e-4, 1e-5))
    others = [
        dataclasses.replace(one, cells=[c.model_copy(update={"seed": 9}) for c in one.cells]) for one in trainings
    ]
    seconds = calibration.calibrated([*trainings, *others])
    assert len(measured) == 2
    assert seconds[:2] == seconds[2:]


def test_measurements_of_a_schedule_are_part_of_training(trainings, monkeypatch):
    monkeypatch.setattr(calibration, "_measured", lambda one: calibration._Speed(1e-6, 0.0, product=1e-4))
    constant = trainings[0]  # 4 epochs of 4 batches of 50 of 200 images
    inverse = Schedule(name="inverse_lipschitz", refresh_steps=8)
    measuring = dataclasses.replace(
        constant, cells=[cell.model_copy(update={"schedule": inverse}) for cell in constant.cells]
    )
    (without,), (some,) = (calibration.calibrated([one]) for one in (constant, measuring))
    monkeypatch.setattr(calibration, "_AT_MOST", 0.0)  # there is time for one of a kind
    measured = [calibration._measured(measuring), calibration._Speed(1e-6, 0.0)]
    monkeypatch.setattr(calibration, "_measured", lambda one: measured[not one.measures_curvature])
    assert calibration.calibrated([constant, measuring]) == pytest.approx([without, some])
    assert some - without == pytest.approx(len(constant.cells) * 2 * 16 * 200 * 1e-4)
    monkeypatch.undo()
    assert calibration._measured(measuring).product > 0 == calibration._measured(constant).product


def test_what_there_is_no_time_to_measure_is_in_proportion_to_its_operations(trainings, monkeypatch):
    """Of a grid of widths the smallest is measured; its speed per operation is that of the others."""
    monkeypatch.setattr(calibration, "_AT_MOST", 0.0)
    measured = []
    monkeypatch.setattr(calibration, "_measured", lambda one: measured.append(one) or calibration._Speed(1e-4, 1e-5))
    narrow, wide = calibration.calibrated(trainings)
    assert measured == trainings[:1]
    first, second = (calibration.operations(one.arch, one.data.image_shape) for one in trainings)
    start = calibration.START_SECONDS
    assert wide - start == pytest.approx(second / first * (narrow - start))


@pytest.mark.parametrize(("seconds", "whole"), [(0.01, True), (60.0, False)])
def test_a_pack_is_measured_whole_unless_that_takes_long(trainings, monkeypatch, seconds, whole):
    """What launching a step costs does not grow with its networks, so few of them do not tell of many."""
    training = dataclasses.replace(trainings[0], cells=[trainings[0].cells[0]] * 16)
    asked = []
    monkeypatch.setattr(
        calibration, "_passes", lambda _, cells, data, count: asked.append((len(cells), count)) or (seconds, 0.0)
    )
    speed = calibration._measured(training)
    few = min(training.batch_size, calibration._FEW)
    assert asked == [(1, few), (16, training.batch_size) if whole else (1, few)]
    assert speed.step == seconds / math.prod(asked[-1])


def test_compiling_saves_less_of_wide_networks(trainings):
    narrow, wide = (one.compiled_share for one in trainings)
    assert calibration._COMPILED <= narrow <= wide < 1


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 97])
def test_ends_are_measured_first_and_every_size_once(count):
    found = calibration._spread(range(count))
    assert sorted(found) == list(range(count))
    assert found[:2] == [0, count - 1][:count]
    if count == 97:
        assert max(np.diff(sorted(found[:9]))) <= 13  # evenly


def test_sizes_of_registered_datasets_are_those_of_their_images(tmp_path):
    raw = digits.read(Dataset(name="digits"), tmp_path)
    n_train, n_test, channels, size, n_classes = REGISTRY["dataset"]["digits"].images
    assert raw.train_images.shape == (n_train, channels, size, size)
    assert (len(raw.test_images), len(raw.classes)) == (n_test, n_classes)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"dataset": {"name": "mnist"}, "labels": "original", "loss": "cross_entropy"},
            (60000, 10000, (1, 28, 28), 10),
        ),
        (
            {
                "dataset": {"name": "cifar10", "image_size": 8},
                "labels": {"name": "class_subset", "classes": ["cat", "dog"], "test_size": 500},
            },
            (10000, 500, (3, 8, 8), 1),
        ),
        (
            {"labels": {"name": "distinct_teacher", "teacher_outputs": 7}, "loss": "cross_entropy"},
            (None, None, None, 7),
        ),
    ],
)
def test_sizes_follow_from_the_settings(settings, expected):
    found = calibration.sizes(Cell.model_validate(settings))
    for own, wanted in zip((found.n_train, found.n_test, found.image_shape, found.n_outputs), expected, strict=True):
        assert wanted is None or own == wanted


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


def test_waiting_for_the_processor_does_not_count_as_computing():
    def wait():
        time.sleep(0.3)
        return torch.zeros(1)

    assert calibration._taken(wait, on_cpu=True) < 0.3 <= calibration._taken(wait, on_cpu=False)
