"""What the system refuses: told in one sentence, and no file that may be sound is given up for it.

Reading `/proc/self/mem` at its start is an input/output error, writing `/dev/full` finds the disk full: for every user.
"""

import errno
import logging
from pathlib import Path

import pytest
import torch

from gengap import layout, logs
from gengap.cli import main as cli
from gengap.errors import UnreadableError, UserError, refusal
from gengap.files import lineage, storage, timings
from gengap.training import RunOptions, cell_result, cell_store, resume, train_pack

BROKEN, FULL = Path("/proc/self/mem"), Path("/dev/full")
TIMING = timings.Timing(study="a", part="b", job="train", kind="c", work=1.0, seconds=1.0)


def breaks(path):
    """Let a file be on a broken disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(BROKEN)


@pytest.fixture
def trained(tmp_path, make_cell, data):
    """A pack of one cell in a store; `train` trains it again, where its files lack it."""
    cells = {"seed=0": make_cell(0)}
    paths = tmp_path / "pack/weights.h5", tmp_path / "pack/history.h5"

    def train():
        return train_pack(cells, data, *paths, RunOptions(store_folder=tmp_path / "store", device="cpu")).work

    train()
    return train


def told(error):
    """One sentence that names the file and the reason."""
    return "(Input/output error), and is left as it is" in str(error) and str(error).count("\n") == 0


def test_a_file_on_a_broken_disk_is_not_called_damaged(tmp_path):
    breaks(tmp_path / "weights.h5")
    with pytest.raises(UnreadableError) as caught, storage.reading(tmp_path / "weights.h5", "weights"):
        pass
    assert told(caught.value)
    with pytest.raises(UnreadableError, match="mem: could not be read"):
        storage.read_csv(BROKEN)
    with pytest.raises(UnreadableError):
        lineage.read(Path("weights.h5"), tmp_path)


def test_an_entry_of_the_store_is_not_set_aside(trained, tmp_path):
    (entry,) = cell_store.entries(tmp_path / "store")
    for path in (tmp_path / "pack").iterdir():
        path.unlink()
    breaks(entry)
    with pytest.raises(UnreadableError) as caught:
        trained()
    assert told(caught.value)
    assert str(entry) in str(caught.value)
    assert entry.is_symlink()
    assert not list(entry.parent.glob("*.damaged"))
    with pytest.raises(UnreadableError):  # `gengap clean` would remove a damaged one
        cell_store.settings(entry)


@pytest.mark.parametrize("name", ["weights.h5", "history.h5"])
def test_the_files_of_a_pack_are_not_written_anew(trained, tmp_path, name):
    breaks(tmp_path / "pack" / name)
    with pytest.raises(UnreadableError, match=name):
        trained()
    assert (tmp_path / "pack" / name).is_symlink()


def test_an_interrupted_pack_is_not_trained_afresh(tmp_path):
    breaks(tmp_path / "unfinished.h5")
    with pytest.raises(UnreadableError):
        resume.read(tmp_path / "unfinished.h5", [], torch.device("cpu"))


def test_a_saved_pack_that_cannot_be_removed_is_said(tmp_path, caplog):
    (tmp_path / "a.h5").mkdir()
    resume.Saver(tmp_path / "a.h5").remove()
    assert "a.h5: cannot be removed (Is a directory), and is needed no more" in caplog.text
    resume.Saver(None).remove()


def test_files_of_two_runs_are_no_pack(trained, tmp_path, make_cell, data, caplog):
    """A job was killed between the two, and the settings were changed back."""
    other = {"seed=0": make_cell(0, training={"epochs": 2})}
    paths = tmp_path / "other/weights.h5", tmp_path / "other/history.h5"
    train_pack(other, data, *paths, RunOptions(device="cpu"))
    paths[0].replace(tmp_path / "pack/weights.h5")
    with pytest.raises(UserError, match=r"history\.h5 and weights\.h5 were not written together"):
        cell_result.read({"seed=0": make_cell(0)}, tmp_path / "pack/weights.h5", tmp_path / "pack/history.h5")
    caplog.clear()
    assert trained() == 0
    assert "Its cells are looked for in the store" in caplog.text
    (cell,) = cell_result.read(
        {"seed=0": make_cell(0)}, tmp_path / "pack/weights.h5", tmp_path / "pack/history.h5"
    ).values()
    assert max(cell.checkpoints) == max(epoch for epoch, _, _ in cell.history)


def test_a_full_disk_under_a_log_is_said_once_and_the_work_goes_on(capsys):
    with logs.job(FULL) as log:
        for number in range(3):
            log.info("line %d", number)
    said = capsys.readouterr().err
    assert said.count("/dev/full: cannot be written (No space left on device)") == 1
    assert [f"line {number}" in said for number in range(3)] == [True] * 3
    assert "Traceback" not in said
    assert not logging.getLogger("gengap").handlers


def test_a_log_in_a_place_where_none_can_be_is_said_and_the_work_goes_on(tmp_path, capsys):
    (tmp_path / "file").touch()
    with logs.job(tmp_path / "file/a.log") as log:
        log.info("at work")
    said = capsys.readouterr().err
    assert "a.log: cannot be written" in said
    assert "at work" in said


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_what_the_system_refuses_is_no_bug(tmp_path, capsys, number):
    with pytest.raises(SystemExit) as ended, logs.job(tmp_path / "a.log"):
        raise OSError(number, "told by the system", "a/file")
    assert ended.value.code == 1
    for said in (capsys.readouterr().err, (tmp_path / "a.log").read_text()):
        assert "error: a/file: told by the system. Nothing that was finished is lost" in said
        assert "Traceback" not in said


def test_any_other_error_of_the_system_is_a_bug():
    assert refusal(FileNotFoundError(errno.ENOENT, "No such file")) is None


def test_a_command_tells_it_too(tmp_path, monkeypatch, capsys):
    """The folder of studies is a file on a broken disk."""
    monkeypatch.chdir(tmp_path)
    breaks(tmp_path / layout.STUDIES / "a.yaml")
    assert cli.main(["check"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "a.yaml" in said


def test_times_of_jobs_are_not_worth_an_error(caplog):
    timings.append(FULL, [TIMING])
    assert "/dev/full: cannot be written (No space left on device)" in caplog.text
    assert timings.read(BROKEN) == []
    assert "/proc/self/mem: cannot be read (Input/output error)" in caplog.text
