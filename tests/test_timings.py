"""What is kept of how long jobs took."""

from gengap.files import timings
from gengap.files.timings import Timing


def row(seconds, *, work=100.0, kind="k", part="pack=0", written="2026-01-01T00:00:00+00:00", job="train"):
    return Timing("study", part, job, kind, work, seconds, written)


def test_lines_come_back_and_a_damaged_one_is_left_out(tmp_path):
    path = tmp_path / "new/timings.jsonl"
    timings.append(path, [row(1.0), row(2.0)])
    with path.open("a") as file:
        file.write('{"study": "cut sho')
    assert timings.read(path) == [row(1.0), row(2.0)]
    assert timings.read(tmp_path / "none") == []


def test_the_last_long_job_of_a_kind_gives_its_rate():
    rows = [row(30.0), row(20.0), row(0.2, work=1.0), row(0.1, work=1.0, kind="short"), row(9.0, work=0.0, kind="none")]
    assert timings.rates(rows) == {"k": 0.2, "short": 0.1}


def test_the_error_compares_what_has_run_since_the_prediction():
    early, middle, late = (f"2026-01-0{day}T00:00:00+00:00" for day in (1, 2, 3))
    predictions = [
        row(50.0, written=early),
        row(10.0, written=middle),
        row(10.0, part="pack=1", written=middle),
        row(1.0, written="2026-01-09T00:00:00+00:00"),  # nothing has run since
    ]
    # Half of pack=0's work was left to do; pack=1 has not run.
    assert timings.error(predictions, [row(6.0, work=50.0, written=late)], "study") == (5.0, 6.0, middle)
    assert timings.error(predictions, [], "study") is None
    assert timings.error([], [row(6.0)], "study") is None
