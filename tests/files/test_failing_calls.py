"""One call fails while a file is written or a lock is taken; the system's answers are real ones, by tests/faults."""

import errno
import os
import shutil
import subprocess
import sys

import fault_injection
import pytest

from gengap.files import storage

WRITE = "storage.write_text('folder/file.csv', 'new')"
LOCK = "lock = cell_locks.locked(Path('folder/locks'), ['a', 'b']); print(lock.__enter__())"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    return fault_injection.build(tmp_path_factory.mktemp("library"))


@pytest.fixture
def run(library, tmp_path):
    """Run code in a folder where a call fails; returns its exit status and what it said."""

    def running(code, fault):
        start = "from pathlib import Path; from gengap import logs; from gengap.files import cell_locks, storage\n"
        done = subprocess.run(
            [sys.executable, "-c", f"{start}with logs.job(): {code}"],
            cwd=tmp_path,
            env=fault_injection.environment(library, [tmp_path], fault=fault),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert "Traceback" not in done.stdout, done.stdout
        return done.returncode, done.stdout

    return running


@pytest.mark.parametrize(
    ("fault", "number", "says"),
    [
        ("mkdir:1", errno.EACCES, "cannot be written (Permission denied)"),
        ("open:1", errno.ENOSPC, "cannot be written (No space left on device)"),
        ("write:1", errno.ENOSPC, "could not be written (the disk is full). What was there before is untouched."),
        ("sync:1", errno.EIO, "could not be written (Input/output error). What was there before is untouched."),
        ("rename:1", errno.EACCES, "could not be written (Permission denied). What was there before is untouched."),
        ("sync:2", errno.EIO, "was written, but the disk did not confirm it (Input/output error). Run the same again."),
    ],
)
def test_a_write_that_fails_says_what_is_left(run, tmp_path, fault, number, says):
    status, said = run(WRITE, f"{fault}:{number}")
    assert status == 1
    assert f"error: folder/file.csv: {says}" in said
    found = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert found == (["file.csv"] if fault == "sync:2" else [])


@pytest.mark.parametrize(
    ("fault", "number"),
    [("sync:2", errno.EINVAL), ("sync:2", errno.ENOTSUP), ("write:1", errno.EINTR), ("open:1", errno.EINTR)],
)
def test_a_call_that_is_interrupted_or_unknown_to_the_file_system_is_no_failure(run, tmp_path, fault, number):
    assert run(WRITE, f"{fault}:{number}") == (0, "")
    assert (tmp_path / "folder/file.csv").read_text() == "new"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EIO, errno.ENOTSUP])
def test_where_nothing_can_be_locked_everything_is_had_and_that_is_said(run, number):
    status, said = run(LOCK, f"lock:1+:{number}")
    assert status == 0
    assert "['a', 'b']" in said
    assert said.count(f"folder/locks: cannot be locked ({os.strerror(number)})") == 1


def test_an_error_of_the_reader_passes_through(tmp_path):
    with storage.writing(tmp_path / "a.h5", "weights", {}):
        pass
    with pytest.raises(RuntimeError, match="the reader's"), storage.reading(tmp_path / "a.h5", "weights"):
        raise RuntimeError("the reader's")
