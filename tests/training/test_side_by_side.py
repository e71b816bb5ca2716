"""Two jobs with one store, at the same time: every cell is trained once, and has the bits of a job alone."""

import pytest
import torch
from forked import CONTEXT

from gengap.training import RunOptions, cell_result, train_pack


def work(folder, store, cells, data, begin, passed):
    torch.set_num_threads(1)
    begin.wait()
    paths = folder / "weights.h5", folder / "history.h5"
    passed.put(train_pack(cells, data, *paths, RunOptions(store_folder=store, device="cpu", compile_step="off")))


def train(folders, store, packs, data):
    """Train packs at once, each in a folder of its own; returns the samples that passed through each's networks."""
    begin, passed = CONTEXT.Barrier(len(packs)), CONTEXT.Queue()
    jobs = [
        CONTEXT.Process(target=work, args=(folder, store, cells, data, begin, passed), daemon=True)
        for folder, cells in zip(folders, packs, strict=True)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    return [passed.get() for _ in jobs]


def final(folder, cells):
    found = cell_result.read(cells, folder / "weights.h5", folder / "history.h5")
    return {
        name: {key: value.numpy().tobytes() for key, value in one.checkpoints[max(one.checkpoints)].items()}
        for name, one in found.items()
    }


@pytest.mark.thorough
def test_shared_cells_are_trained_once(tmp_path, make_cell, data):
    cells = {f"seed={seed}": make_cell(seed, training={"epochs": 8}) for seed in range(5)}
    packs = [{name: cells[name] for name in list(cells)[place]} for place in (slice(0, 4), slice(1, 5))]
    (alone,) = train([tmp_path / "alone"], tmp_path / "quiet", [cells], data)
    folders = [tmp_path / "one", tmp_path / "other"]
    together = train(folders, tmp_path / "store", packs, data)
    assert sum(pace.work for pace in together) == alone.work
    expected = final(tmp_path / "alone", cells)
    for folder, pack in zip(folders, packs, strict=True):
        assert final(folder, pack) == {name: expected[name] for name in pack}
