"""How long training takes, measured on a few steps."""

import dataclasses
import itertools
import math
import time
import types

import numpy as np
import pytest
import torch

from gengap import models
from gengap.cost import calibration
from gengap.datasets import digits
from gengap.engine import stack
from gengap.registry import REGISTRY
from gengap.studies.settings import After, Cell, Dataset, Model, Schedule


@pytest.fixture
def trainings():
    """One pack of either width, each network with four epochs of 200 images in batches of 50."""
    shared = {
        "dataset": {"name": "gaussian", "image_size": 8, "n_train": 300, "n_test": 100},
        "labels": {"name": "teacher", "train_size": 200, "test_size": 50},
        "training": {"batch_size": 50, "epochs": 4, "snapshots": [0, 1, 2]},
    }
    return [
        training_of([Cell.model_validate({**shared, "model": {"width": width}, "seed": seed}) for seed in range(3)])
        for width in (4, 8)
    ]


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


def test_waiting_for_the_processor_does_not_count_as_computing():
    def wait():
        time.sleep(0.3)
        return torch.zeros(1)

    assert calibration._taken(wait, on_cpu=True) < 0.3 <= calibration._taken(wait, on_cpu=False)


def test_networks_with_few_weights_left_cost_these():
    """Also where there is no time to measure them."""
    whole = Cell.model_validate({"model": {"name": "mlp", "width": 300, "batchnorm": "none"}})

    def pruned(share):
        return whole.model_copy(update={"after": After(origin="any", cell=whole, prune=(share,))})

    trainings = [training_of([cell] * 3) for cell in (whole, pruned(0.3), pruned(0.9), pruned(0.99))]
    operations = [training.operations for training in trainings]
    assert operations[1] == operations[0]  # by whole matrices
    assert operations[2:] == pytest.approx([0.1 * operations[0], 0.01 * operations[0]])
    assert len({training.speed_depends_on for training in trainings[1:]}) == 3
    model = Model(name="mlp", width=300, batchnorm="before")
    normed = [cell.model_copy(update={"model": model}) for cell in (whole, pruned(0.9))]
    assert training_of([normed[0]]).operations == training_of([normed[1]]).operations  # it has whole matrices
