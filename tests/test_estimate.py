"""What a study is predicted to cost."""

import itertools
import json
import types

import pytest

from gengap.cost import estimate
from gengap.datasets import digits
from gengap.files import timings
from gengap.registry import REGISTRY
from gengap.studies.settings import Cell, Dataset
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


def everything(part, job):
    return True


def one_second_per_cell(arch, cells, data, threads):
    return float(len(cells))


def test_jobs_that_have_not_run_are_predicted_from_calibration_or_not_at_all(study):
    planned = estimate.jobs(study, everything, {}, 2, one_second_per_cell)
    training = [job for job in planned if job.job == "train"]
    assert [(job.part, job.cells, job.seconds, job.work) for job in training] == [
        ("width=4_pack=0", 3, 3.0, 3 * 4 * 200),
        ("width=8_pack=0", 3, 3.0, 3 * 4 * 200),
    ]
    assert training[1].memory > training[0].memory > 3 * 721 * 4
    assert [job.seconds for job in planned if job.job != "train"] == [None] * 4
    assert estimate.hours(planned, 2) * 3600 == 3.0
    assert estimate.hours(planned, 1) * 3600 == 6.0


def test_jobs_that_have_run_give_the_rate_of_their_kind(study):
    first = estimate.jobs(study, everything, {}, 2, one_second_per_cell)
    known = {job.kind: 0.001 for job in first}
    again = estimate.jobs(study, lambda part, job: job != "train", known, 2)
    # Three networks: four snapshots with the last epoch, 100 samples each; the last epoch alone, 200 samples.
    assert [job.seconds for job in again if job.part == "width=4_pack=0"] == [3 * 4 * 100 * 0.001, 3 * 200 * 0.001]


def test_a_calibration_grows_with_the_work(study, monkeypatch):
    cells = list(study.cells.values())[:2]
    data = estimate.sizes(cells[0])
    arch = estimate.stack.architecture(estimate.models.build(cells[0].model, data.image_shape, data.n_outputs))
    longer = [cell.model_copy(update={"training": cell.training.model_copy(update={"epochs": 400})}) for cell in cells]
    assert estimate.calibrated(arch, cells, data, 1) > 0
    # From here on, each call of the clock is a second after the one before.
    monkeypatch.setattr(estimate, "time", types.SimpleNamespace(perf_counter=itertools.count().__next__))
    assert estimate.calibrated(arch, cells, data, 1) < estimate.calibrated(arch, longer, data, 1)


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
    found = estimate.sizes(Cell.model_validate(settings))
    for own, wanted in zip((found.n_train, found.n_test, found.image_shape, found.n_outputs), expected, strict=True):
        assert wanted is None or own == wanted


def test_a_probe_at_chosen_epochs_reads_that_many_checkpoints():
    cells = [Cell(), Cell(seed=1)]
    probe = Probe.model_validate({"name": "hessian_spectrum", "epochs": [1, 2, 5], "samples": 10})
    assert estimate.probe_work(probe, cells, 10_000) == 2 * 3 * 10


def test_a_simulation_is_planned_by_point(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("title: t\nbase: {simulation: linear_gradient, depth: 2}\ngrid: {width: [2, 4], seed: 0..9}\n")
    planned = estimate.jobs(load_simulation(path), everything, {}, 2)
    assert [(job.job, job.work, job.seconds) for job in planned] == [("simulate", 10, None)] * 2


def test_the_text_names_packs_and_what_nobody_knows(study):
    planned = estimate.jobs(study, everything, {}, 2, lambda arch, cells, data, threads: 7200.0)
    text = "\n".join(estimate.describe(planned, 2))
    assert "width=8_pack=0" in text
    assert "2.0 h" in text
    assert "not known, since none has run on this machine: margin, distance" in text
    rows = estimate.predictions("s", planned)
    assert len({row.written for row in rows}) == 1
    assert json.dumps(rows[0].seconds) == "7200.0"
    assert timings.error(rows, rows, "s")[0] == 14400.0
