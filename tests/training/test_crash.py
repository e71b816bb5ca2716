"""A pack that is killed at any moment goes on where it was, and ends with the bits of an undisturbed run."""

import os
import random
import signal
from pathlib import Path

import pytest
import standstill
import torch

from gengap.errors import UserError
from gengap.files.storage import beside
from gengap.studies.identity import cell_identity
from gengap.training import RunOptions, cell_result, cell_store, resume, train_pack


def work(folder, cells, data, save_seconds):
    torch.set_num_threads(1)
    paths = folder / "weights.h5", folder / "history.h5"
    train_pack(cells, data, *paths, RunOptions(store_folder=folder / "store", device="cpu", save_seconds=save_seconds))


def work_step_by_step(points, *arguments):
    """Each training step is a point; with a save interval of 0 it begins with a save."""
    points.before(resume.Saver, "step")
    work(*arguments)


def work_file_by_file(points, *arguments):
    """Each file that was written, and has not taken its name yet, is a point."""
    points.before(Path, "replace")
    work(*arguments)


def bits(folder, cells):
    """All numbers of a pack, as bytes."""
    records = cell_result.read(cells, folder / "weights.h5", folder / "history.h5")
    assert len(records) == len(cells)
    return {
        name: (
            [(epoch, quantity, value.hex()) for epoch, quantity, value in found.history],
            found.status,
            found.stopped_by,
            {
                (epoch, key): value.numpy().tobytes()
                for epoch, state in found.checkpoints.items()
                for key, value in state.items()
            },
        )
        for name, found in records.items()
    }


EPOCHS = max(12, 2 * standstill.KILLS)
STEPS = 4 * EPOCHS


@pytest.fixture
def cells(make_cell):
    """Cells of unequal length, one that stops early, and one that diverges, so that the stack shrinks on the way."""
    return {
        "short": make_cell(0, training={"epochs": 3}),
        "long": make_cell(1, training={"epochs": EPOCHS, "snapshots": [0.25, 1, 5, 8]}, schedule={"warm_up": 9.5}),
        "stopped": make_cell(2, training={"epochs": EPOCHS, "stop_accuracy": 0.75}),
        "diverged": make_cell(3, optimizer={"lr": 1e30}, training={"epochs": EPOCHS}),
    }


UNDISTURBED = {}


@pytest.fixture
def expected(tmp_path_factory, cells, data):
    """The bits of a run that nobody disturbed; it is made once."""
    if not UNDISTURBED:
        folder = tmp_path_factory.mktemp("quiet")
        work(folder, cells, data, 3600)
        UNDISTURBED.update(bits(folder, cells))
        ends = {name: (status, stopped_by) for name, (_, status, stopped_by, _) in UNDISTURBED.items()}
        assert ends["stopped"] == ("finished", "stop_accuracy")
        assert ends["diverged"] == ("diverged", "divergence")
    return UNDISTURBED


@pytest.mark.thorough
def test_killed_again_and_again_ends_with_the_same_bits(tmp_path, cells, data, expected):
    """At any moment of training: between two steps, within one, or while the pack is saved."""
    hurt = tmp_path / "hurt"
    chance = random.Random(0)
    furthest = (STEPS - 4) // standstill.KILLS - 3  # so that together they stay below an undisturbed run's steps
    for _ in range(standstill.KILLS):
        step = chance.randint(max(1, furthest // 2), furthest)
        standstill.kill(
            work_step_by_step, hurt, cells, data, 0, at=step, held=step + 3, seconds=chance.uniform(0, 0.05)
        )
    assert not (hurt / "weights.h5").exists()
    work(hurt, cells, data, 3600)
    assert bits(hurt, cells) == expected
    assert not list((hurt / "store" / "unfinished").glob("*.h5"))


@pytest.mark.thorough
def test_killed_before_any_of_its_files_has_its_name_it_ends_with_the_same_bits(tmp_path, cells, data, expected):
    hurt = tmp_path / "hurt"
    standstill.kill(work_step_by_step, hurt, cells, data, 0, at=STEPS - 4)  # what follows goes on from here
    for number in (1, 2, 2, 2, 2, 2):  # one file more than the last run
        standstill.kill(work_file_by_file, hurt, cells, data, 3600, at=number)
    left = [path.name.split(".h5.")[0] for path in hurt.rglob(".*.part")]
    stored = [f".{path.stem}" for path in cell_store.entries(hurt / "store")]
    assert sorted(left) == sorted([*stored, ".weights", ".history"])
    work(hurt, cells, data, 3600)
    assert bits(hurt, cells) == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_saves_and_goes_on_later(tmp_path, cells, data, expected, number):
    """With a save interval of an hour: only the signal can have saved."""
    hurt = tmp_path / "hurt"
    with standstill.told(work_step_by_step, hurt, cells, data, 3600, at=10) as process:
        os.kill(process.pid, number)
    assert process.exitcode == 1
    assert list((hurt / "store/unfinished").glob("*.h5"))
    assert not (hurt / "weights.h5").exists()
    work(hurt, cells, data, 3600)
    assert bits(hurt, cells) == expected


@pytest.fixture
def saved(tmp_path, cells, data, monkeypatch):
    """The file of a pack that was stopped at epoch 2."""
    original = resume.Saver.step

    def interrupted(self, live, records):
        if live.epoch == 2:
            self._signal = signal.SIGTERM
        original(self, live, records)

    monkeypatch.setattr(resume.Saver, "step", interrupted)
    with pytest.raises(UserError, match="stopped by SIGTERM at epoch 2, step 0"):
        work(tmp_path / "stopped", cells, data, 3600)
    monkeypatch.undo()
    (path,) = (tmp_path / "stopped/store/unfinished").iterdir()
    return path


def cut_short(path, length):
    path.write_bytes(path.read_bytes()[:length])


@pytest.mark.parametrize(
    "share", [*(pytest.param(share, marks=pytest.mark.thorough) for share in (0.0, 0.01, 0.99)), 0.5]
)
def test_a_damaged_save_is_reported_and_training_starts_again(tmp_path, cells, data, expected, saved, caplog, share):
    cut_short(saved, int(share * saved.stat().st_size))
    work(tmp_path / "stopped", cells, data, 3600)
    assert "training starts from the beginning" in caplog.text
    assert bits(tmp_path / "stopped", cells) == expected


def test_files_cut_short_cost_the_cells_that_no_other_file_holds(tmp_path, make_cell, data, caplog):
    """Weights, history and entries of the store are cut at random; what is lost, and nothing else, is trained again."""
    cells = {f"seed={seed}": make_cell(seed, training={"epochs": 1}) for seed in range(4)}
    owner = {cell_identity(cell, data.digest): name for name, cell in cells.items()}
    folder = tmp_path / "pack"
    work(folder, cells, data, 3600)
    before = bits(folder, cells)
    entries = cell_store.entries(folder / "store")
    assert {owner[path.stem] for path in entries} == set(cells)
    chance = random.Random(0)
    bad = set()
    for _ in range(12):
        cut = chance.sample([folder / "weights.h5", folder / "history.h5"], chance.randrange(3))
        bad |= {*chance.sample(entries, chance.randrange(3))}
        for path in sorted({*cut, *bad}):
            cut_short(path, chance.randrange(max(1, path.stat().st_size)))
        lost = set(bad) if cut else set()
        caplog.clear()
        with caplog.at_level("INFO", logger="gengap"):
            work(folder, cells, data, 3600)
        assert f"{len(lost)} of 4 cells are to be trained" in caplog.text
        assert ("looked for in the store, or trained again" in caplog.text) == bool(cut)
        assert caplog.text.count("set aside as") == len(lost)
        bad -= lost
        after = bits(folder, cells)
        assert all(after[name] == before[name] for name in cells if name not in {owner[path.stem] for path in lost})
        before = after


def test_a_folder_that_became_read_only_is_said_and_nothing_is_lost(tmp_path, cells, data, caplog, read_only):
    results, kept = tmp_path / "results", tmp_path / "store"
    results.mkdir()
    paths = results / "weights.h5", results / "history.h5"
    with read_only(results), pytest.raises(UserError, match=r"cannot be written \(Read-only file system\). Make the"):
        train_pack(cells, data, *paths, RunOptions(store_folder=kept, device="cpu"))
    with caplog.at_level("INFO", logger="gengap"):
        train_pack(cells, data, *paths, RunOptions(store_folder=kept, device="cpu"))
    assert "0 of 4 cells are to be trained, 4 were found finished" in caplog.text


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "weights.h5"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), beside(target) as temporary:
        temporary.write_text(f"half, then {1 / 0}")
    assert [path.name for path in tmp_path.iterdir()] == ["weights.h5"]
    assert target.read_text() == "old"
