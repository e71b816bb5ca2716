"""Claims between real processes: exclusive, waited for, and ended by a kill."""

import logging
import multiprocessing
from logging.handlers import QueueHandler

import pytest

from gengap.files.cell_locks import locked

CONTEXT = multiprocessing.get_context("forkserver")


def hold(path, names, at_most, got, leave):
    log = logging.getLogger("gengap")
    log.setLevel(logging.INFO)
    log.addHandler(QueueHandler(got))  # says when it waits
    with locked(path, names, at_most=at_most) as mine:
        got.put(mine)
        leave.wait()


@pytest.fixture
def start(tmp_path):
    """Starts a process that locks; gives it, what it logs and gets, and the event by which it leaves."""
    started = []  # also keeps what a process has yet to open

    def starting(names, at_most=None):
        got, leave = CONTEXT.Queue(), CONTEXT.Event()
        process = CONTEXT.Process(target=hold, args=(tmp_path / "folder/locks", names, at_most, got, leave))
        process.start()
        started.append((process, got, leave))
        return started[-1]

    yield starting
    for process, *_ in started:
        process.kill()
        process.join()


def test_what_one_has_another_does_not_get(tmp_path, start):
    _, got, leave = start(["a", "b"])
    assert got.get() == ["a", "b"]
    with locked(tmp_path / "folder/locks", ["b", "c", "a", "d"]) as mine:
        assert mine == ["c", "d"]
    leave.set()


def test_waits_until_something_is_free(start):
    _, first, leave = start(["a"])
    assert first.get() == ["a"]
    _, second, _ = start(["a"])
    assert second.get().getMessage() == "another job is working on it: waiting for it"
    leave.set()
    assert second.get() == ["a"]


def test_what_waits_here_gets_it_when_the_other_leaves(tmp_path, start, caplog):
    _, got, leave = start(["a"])
    assert got.get() == ["a"]
    handler = logging.Handler()
    handler.emit = lambda record: leave.set()  # it says that it waits
    log = logging.getLogger("gengap")
    log.addHandler(handler)
    try:
        with caplog.at_level("INFO", logger="gengap"), locked(tmp_path / "folder/locks", ["a"]) as mine:
            assert mine == ["a"]
    finally:
        log.removeHandler(handler)
    assert "another job is working on it" in caplog.text


def test_a_killed_process_claims_nothing(tmp_path, start):
    process, got, _ = start(["a"])
    got.get()
    process.kill()
    process.join()
    with locked(tmp_path / "folder/locks", ["a"]) as mine:
        assert mine == ["a"]


def test_at_most_one_each_as_gpus_are_leased(tmp_path, start):
    gpus = ["0", "1", "2"]
    held = [start(gpus, at_most=1) for _ in range(2)]
    assert sorted(got.get() for _, got, _ in held) == [["0"], ["1"]]
    with locked(tmp_path / "folder/locks", gpus, at_most=1) as mine:
        assert mine == ["2"]


def test_a_thousand_claims_are_one_open_file(tmp_path):
    names = [f"cell {number}" for number in range(5000)]  # more than the files that a process may open
    with locked(tmp_path / "locks", names) as mine:
        assert mine == names
