"""A probe that is killed at any moment leaves no half file under its name, and measures the same bits later."""

import random

import h5py
import pytest
import standstill
import torch

from gengap import probes
from gengap.engine import stack, weights
from gengap.files import storage
from gengap.labels import LabelledData
from gengap.models import build
from gengap.studies.settings import Cell
from gengap.studies.study import Probe

CELLS = {f"seed={seed}": Cell.model_validate({"model": {"width": 2}, "seed": seed}) for seed in range(3)}
EPOCHS = tuple(float(epoch) for epoch in range(30))


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(60, 3, 8, 8, generator=generator)
    labels = (images[:, 0].mean(dim=(1, 2)) > 0).long() * 2 - 1
    return LabelledData(images[:40], labels[:40], images[40:], labels[40:], 2, "digest")


@pytest.fixture
def weights_file(tmp_path):
    """Each cell's start, moved a little from epoch to epoch."""
    arch = stack.architecture(build(Cell().model, (3, 8, 8), 1))
    start = stack.initial_state(list(CELLS.values()), (3, 8, 8), 1, dtype=torch.float32, device=torch.device("cpu"))
    saved = {
        name: {
            epoch: {key: value[place] * (1 if key in arch.buffers else 1 + epoch / 10) for key, value in start.items()}
            for epoch in EPOCHS
        }
        for place, name in enumerate(CELLS)
    }
    path = tmp_path / "weights.h5"
    weights.write(path, saved, {name: cell.model_dump(mode="json") for name, cell in CELLS.items()}, (3, 8, 8), 1, {})
    return path


def measure(weights_file, data, output):
    torch.set_num_threads(1)
    probes.measure_pack(Probe(name="distance"), CELLS, weights_file, data, output, device="cpu")


def measure_array_by_array(points, *arguments):
    """Each array that is about to be written to a file is a point."""
    points.before(h5py.Group, "create_dataset")
    measure(*arguments)


def bits(path):
    """All that a probe's file holds, its provenance apart."""
    with storage.reading(path, "probe") as file:
        return {name: file[name][()].tolist() for name in storage.dataset_names(file)}


def half_written(output):
    return list(output.parent.glob(".*.part"))


@pytest.mark.thorough
def test_killed_again_and_again_it_leaves_whole_files_only(tmp_path, weights_file, data):
    """Half of the times while there is no older file, and half while there is one."""
    quiet, hurt = tmp_path / "quiet/distance.h5", tmp_path / "hurt/distance.h5"
    measure(weights_file, data, quiet)
    expected = bits(quiet)
    assert len(expected["measurements/value"]) >= len(CELLS) * len(EPOCHS)
    chance = random.Random(0)
    half = standstill.KILLS // 2
    for number in range(2 * half):
        if number == half:
            measure(weights_file, data, hurt)
            assert bits(hurt) == expected
        first = chance.randint(1, len(expected))
        last, seconds = (first, 0.0) if number % 2 else (len(expected), chance.uniform(0, 0.005))
        standstill.kill(measure_array_by_array, weights_file, data, hurt, at=first, held=last, seconds=seconds)
        assert len(half_written(hurt)) == number + 1
        assert bits(hurt) == expected if number >= half else not hurt.exists()
    measure(weights_file, data, hurt)
    assert bits(hurt) == expected
