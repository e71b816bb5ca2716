"""Lines of progress: few, whole, and the last one always."""

import itertools
import re
import threading
import time

import pytest

from gengap import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr("gengap.progress.time.monotonic", lambda: now[0])
    return now


def lines(caplog, clock, seconds_per_epoch, epochs, done=0):
    caplog.clear()
    with caplog.at_level("INFO", logger="gengap"):
        shown = progress.Progress("epoch", epochs, "samples", done)
        for epoch in range(done + 1, epochs + 1):
            clock[0] += seconds_per_epoch
            finished = f"{64 if epoch == epochs else 0}/64 cells finished"
            shown.advance(epoch, 1000, finished, "train accuracy 50.0%")
    return [record.getMessage() for record in caplog.records]


def test_a_short_pack_has_one_line_with_the_time_it_took(caplog, clock):
    assert lines(caplog, clock, 0.1, 20) == [
        "epoch 20/20, 64/64 cells finished, 10,000 samples/s, train accuracy 50.0%, took 2 s"
    ]


def test_lines_come_early_then_once_a_minute(caplog, clock):
    found = lines(caplog, clock, 1.0, 3600)
    epochs = [int(re.match(r"epoch (\d+)/3600", line)[1]) for line in found]
    gaps = [b - a for a, b in itertools.pairwise(epochs[:-1])]
    assert epochs[0] == 5
    assert gaps == sorted(gaps)
    assert set(gaps[-40:]) == {60}
    assert len(found) < 90
    assert found[0].endswith(", 59 min 55 s left")
    assert found[-1].endswith(", took 1 h 00 min")


def test_what_was_done_before_does_not_count_as_speed(caplog, clock):
    found = lines(caplog, clock, 10.0, 100, done=90)
    assert found[0] == "epoch 91/100, 0/64 cells finished, 100 samples/s, train accuracy 50.0%, 1 min 30 s left"


def test_the_pace_leaves_out_what_the_first_step_did_once(clock):
    """As compiling: 30 s before the first step ends, then 2 s per step."""
    shown = progress.Progress("epoch", 10, "samples")
    clock[0] += 32.0
    shown.advance(1, 1000)
    for epoch in range(2, 11):
        clock[0] += 2.0
        shown.advance(epoch, 1000)
    assert shown.pace() == progress.Pace(10_000, 20.0)


def test_speed_and_time_left_leave_out_what_the_first_step_did_once(caplog, clock):
    """As compiling: 30 s before the first step ends, then 2 s per step."""
    shown = progress.Progress("epoch", 10, "samples")
    with caplog.at_level("INFO", logger="gengap"):
        clock[0] += 32.0
        shown.advance(1, 1000)
        clock[0] += 20.0
        shown.advance(3, 20_000)
    assert [record.getMessage() for record in caplog.records] == [
        "epoch 1/10, 31 samples/s, 4 min 48 s left",
        "epoch 3/10, 1,000 samples/s, 1 min 10 s left",
    ]


def test_the_pace_of_one_step_is_its_own_and_of_none_is_nothing(clock):
    shown = progress.Progress("epoch", 1, "samples")
    assert shown.pace() == progress.Pace(0.0, 0.0)
    clock[0] += 3.0
    shown.advance(1, 500)
    assert shown.pace() + progress.Pace(1.0, 1.0) == progress.Pace(501.0, 4.0)


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (None, "at work for 12 s; how long it takes is not known"),
        (20.0, "at work for 12 s, 8 s left"),
        (10.0, "at work for 12 s, longer than the 10 s that were predicted"),
    ],
)
def test_work_without_steps_tells_how_long_it_takes(expected, words):
    assert progress.since(12.0, expected).startswith(words)


@pytest.mark.usefixtures("clock")  # which stands still, however late the thread is that tells
def test_it_tells_while_it_lasts_and_no_longer(caplog, monkeypatch):
    monkeypatch.setattr(progress, "_LONG_SECONDS", 0.01)
    threads = threading.active_count()
    with caplog.at_level("INFO", logger="gengap"), progress.told(1000.0, "figure 'scoreboard': "):
        while not caplog.records:
            time.sleep(0.01)
    assert "figure 'scoreboard': at work for 0 s, 16 min 40 s left" in caplog.records[0].getMessage()
    assert threading.active_count() == threads
