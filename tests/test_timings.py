"""What is kept of how long jobs took, and what is predicted from it; no clock is read but a stand-in's."""

import itertools
import json
from dataclasses import asdict

import pytest

from gengap import layout
from gengap.files import timings
from gengap.files.timings import Compared, Timing
from gengap.progress import Pace


def row(seconds, *, work=100.0, kind="k", part="pack=0", written="2026-01-01T00:00:00+00:00", job="train", **others):
    return Timing("study", part, job, kind, work, seconds, written, **others)


def test_lines_come_back_and_a_damaged_one_is_left_out(tmp_path):
    path = tmp_path / "new/timings.jsonl"
    timings.append(path, [row(1.0), row(2.0)])
    with path.open("a") as file:
        file.write('{"study": "cut sho')
    assert timings.read(path) == [row(1.0), row(2.0)]
    assert timings.read(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seconds", -1.0),
        ("seconds", float("nan")),
        ("seconds", None),
        ("work", float("inf")),
        ("work", "100"),
        ("fixed", -3.0),
        ("threads", 0),
        ("networks", 0),
        ("networks", 1.5),
        ("kind", ["k"]),
        ("written", None),
        ("study", 3),
    ],
)
def test_a_line_with_what_cannot_be_is_left_out(tmp_path, key, value):
    path = tmp_path / "timings.jsonl"
    path.write_text("".join(json.dumps(asdict(row(1.0)) | each) + "\n" for each in ({}, {key: value}, {})))
    assert timings.read(path) == [row(1.0)] * 2


@pytest.mark.parametrize(
    ("fixed", "rate", "ran"),
    [
        (30.0, 0.01, 100.0),  # nearly all of the job that ran was compiling
        (5.0, 0.002, 1_000_000.0),  # and here nearly nothing
        (6.0, 2.0, 3.0),  # three checkpoints of a slow probe
        (1.0, 0.5, 40.0),
    ],
)
@pytest.mark.parametrize("size", [0.01, 1.0, 10.0, 1000.0])
def test_what_ran_at_one_size_predicts_every_other(fixed, rate, ran, size):
    """Each job took up to a fifth longer or shorter than the rule."""
    noise = (1.2, 0.85, 1.0, 0.9)
    alike = [row((fixed + rate * ran) * one, work=ran, fixed=fixed * one) for one in noise]
    found = timings.predict(alike, ran * size)
    truth = fixed + rate * ran * size
    assert truth / 1.5 < found < truth * 1.5


def test_the_nearest_number_of_networks_and_of_threads_counts():
    alike = [row(10.0, networks=1), row(5.0, networks=64), row(3.0, networks=64, threads=2)]
    assert timings.predict(alike, 100.0, networks=1) == 10.0
    assert timings.predict(alike, 200.0, networks=50) == 10.0
    assert timings.predict(alike, 100.0, networks=60, threads=2) == 3.0
    assert 1.5 < timings.predict(alike, 100.0, networks=60, threads=4) < 3.0


@pytest.mark.parametrize(("launch", "each"), [(10.0, 1.0), (1.0, 1.0), (0.0, 1.0)])
@pytest.mark.parametrize(("ran", "networks"), [(5, 10), (10, 5), (8, 24), (16, 4)])
def test_a_pack_of_another_size_is_predicted_by_what_a_step_of_it_takes(launch, each, ran, networks):
    def step(n):
        return launch + each * n

    def truth(n):  # as many samples for each network
        return 2.0 + 3.0 * step(n)

    alike = [row(truth(ran), work=ran * 1e5, fixed=2.0, networks=ran)]
    assert timings.predict(alike, networks * 1e5, networks=networks, step=step) == pytest.approx(truth(networks))


# Packs of one kind that were trained: networks, work, seconds, what is fixed. One more pack holds what is left over of
# the grid, so that no other has as many networks.
RECORDED = [
    (8, 8e5, 21.4, 4.1),
    (8, 8e5, 19.9, 3.9),
    (8, 8e5, 22.3, 4.4),
]


@pytest.mark.parametrize("disturbed", [1.0, 2.0, 4.34, 9.0])
@pytest.mark.parametrize("networks", [2, 4, 7, 12])
@pytest.mark.parametrize("batching", [0.0, 0.3])
def test_a_pack_that_was_slow_once_counts_as_no_slower_than_its_kind_allows(disturbed, networks, batching):
    """Its own time, under load, is the only one with its number of networks; the others know better."""

    def truth(work):
        return 4.1 + 17.1 / 8e5 * (8 / networks) ** batching * work

    work = networks * 1e5
    alike = [row(seconds, work=work, fixed=fixed, networks=n) for n, work, seconds, fixed in RECORDED]
    own = row(disturbed * truth(work), work=work, fixed=disturbed * 4.1, networks=networks)
    for order in ([own, *alike], [*alike, own]):
        for size in (0.5, 1.0, 6.0):
            found = timings.predict(order, work * size, networks=networks)
            allowed = max(1.5, (8 / networks) ** (1 - batching)) if disturbed > 1 else 1.5
            assert truth(work * size) / 1.5 < found < truth(work * size) * allowed * 1.1, (order.index(own), size)


@pytest.mark.parametrize("disturbed", [1.0, 4.34, 9.0])
@pytest.mark.parametrize("networks", [2, 4, 7])
def test_a_pack_that_was_slow_once_counts_as_little_slower_than_its_steps_are_thought_to_take(disturbed, networks):
    def step(n):
        return 4.0 + n

    def truth(n):
        return 2.0 + 3.0 * step(n)

    quick = [row(truth(8), work=8e5, fixed=2.0, networks=8) for _ in range(3)]
    own = row(disturbed * truth(networks), work=networks * 1e5, fixed=2.0 * disturbed, networks=networks)
    found = timings.predict([*quick, own], networks * 1e5, networks=networks, step=step)
    assert truth(networks) / 1.5 < found < 1.51 * truth(networks)


def test_what_is_slow_again_and_again_is_slow():
    quick = [row(10.0, networks=8) for _ in range(5)]
    slow = [row(45.0, networks=2) for _ in range(3)]
    assert timings.predict([*slow, *quick], 100.0, networks=2) == 45.0
    assert timings.predict([*slow[:1], *quick], 100.0, networks=2) == 40.0  # as much as four times as many networks


def test_a_short_job_says_little_of_the_pace_and_none_says_nothing():
    alike = [row(30.0, work=100.0), row(0.2, work=0.01)]
    assert timings.predict(alike, 100.0) == pytest.approx(30.0)
    assert timings.predict([], 100.0) is None
    assert timings.predict([row(3.0, work=0.0)], 100.0) is None


def test_other_sizes_predict_one_that_has_not_run():
    def seconds(size, work):
        return 3.0 + 0.002 * size**0.6 * work

    alike = {size: [row(seconds(size, 50.0), work=50.0, fixed=3.0)] for size in (1e3, 1e5, 1e6)}
    for size in (1e2, 1e4, 3e5, 1e8):
        found = timings.predict_from_other_sizes(alike, 200.0, size)
        assert found == pytest.approx(seconds(size, 200.0), rel=1e-9), size
    # One size: in proportion. A size twice as large that took a hundred times as long: not on and on like that.
    one = {1e3: alike[1e3]}
    assert timings.predict_from_other_sizes(one, 50.0, 4e3) == pytest.approx(3 + 4 * (seconds(1e3, 50.0) - 3))
    steep = {1.0: [row(13.0, fixed=3.0)], 2.0: [row(1003.0, fixed=3.0)]}
    assert timings.predict_from_other_sizes(steep, 100.0, 4.0) == pytest.approx(3 + 1000 * 2**1.5)
    shrinking = {1.0: [row(103.0, fixed=3.0)], 2.0: [row(53.0, fixed=3.0)]}
    assert timings.predict_from_other_sizes(shrinking, 100.0, 4.0) == pytest.approx(53.0)
    assert timings.predict_from_other_sizes({1.0: [row(3.0, work=0.0)]}, 100.0, 4.0) is None  # it had nothing to do
    assert timings.predict_from_other_sizes({}, 100.0, 4.0) is None


def test_of_other_sizes_the_jobs_with_about_as_many_networks_count():
    alike = {size: [row(10.0 * size, networks=8), row(30.0 * size, networks=1)] for size in (1.0, 2.0)}
    assert timings.predict_from_other_sizes(alike, 100.0, 4.0, networks=6) == pytest.approx(40.0)
    assert timings.predict_from_other_sizes(alike, 100.0, 4.0, networks=1) == pytest.approx(120.0)


def test_a_job_is_timed_with_the_start_of_its_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(timings, "_STARTED", 4.0)
    clock = itertools.chain([100.0, 130.0], itertools.repeat(200.0))
    monkeypatch.setattr(timings.time, "monotonic", lambda: next(clock))
    with timings.timed("study", "pack=0", "train", "k", threads=2, networks=7) as paces:
        paces.append(Pace(1000.0, 20.0))
    with timings.timed("study", "pack=1", "train", "k") as paces:
        paces.append(Pace())
    (kept,) = timings.read(layout.TIMINGS)
    assert (kept.work, kept.seconds, kept.fixed, kept.threads, kept.networks) == (1000.0, 34.0, 14.0, 2, 7)


def test_a_failed_job_is_not_timed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError), timings.whole("study", "", "collect"):
        raise RuntimeError
    assert not layout.TIMINGS.exists()


DAY = "2026-01-0{}T00:00:00+00:00"


def predicted(wall, *jobs, day):
    return [row(wall, part="", job=timings.WALL, work=float(len(jobs)), written=DAY.format(day)), *jobs]


def test_wall_time_is_compared_with_wall_time():
    """Two jobs side by side: 6 s and 9 s that end together took 9 s, not 15."""
    made = [row(one, part=f"pack={number}", written=DAY.format(2)) for number, one in enumerate((5.0, 8.0))]
    ran = [row(one, part=f"pack={number}", written=DAY.format(3)) for number, one in enumerate((6.0, 9.0))]
    predictions = predicted(8.5, *made, day=2)
    assert timings.compare(predictions, ran, "study") == Compared(8.5, 9.0, DAY.format(2), 2, 2)
    # Only one has run: job time is compared with job time, and says of how many.
    found = timings.compare(predictions, ran[1:], "study")
    assert found == Compared(8.0, 9.0, DAY.format(2), 1, 2)
    assert not found.whole


def test_a_prediction_is_compared_with_what_ran_after_it():
    first = predicted(50.0, row(50.0, written=DAY.format(1)), day=1)
    last = predicted(1.0, row(1.0, written=DAY.format(9)), day=9)  # nothing has run since
    ran = [row(40.0, written=DAY.format(3))]
    assert timings.compare(first + last, ran, "study") == Compared(50.0, 40.0, DAY.format(1), 1, 1)
    assert timings.compare(first, [], "study") is None
    assert timings.compare([], ran, "study") is None
    assert timings.compare(first, ran, "another study") is None
