"""The benchmark of the scoreboard: a run goes on where it stopped, and what is committed holds what is promised."""

import json
from pathlib import Path

import pytest

pytest.importorskip("threadpoolctl")

from bench import scoreboard
from gengap.scoreboard import simulated


def test_a_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(scoreboard, "PATH", tmp_path / "scoreboard.json")
    monkeypatch.setattr(simulated, "POPULATIONS", {"null": simulated.null, "signal": simulated.signal})
    monkeypatch.setattr(scoreboard, "_KEPT", 2)
    scoreboard.main(2)
    parts, whole = scoreboard.main(4), scoreboard.main(4, keep=False)
    for name in ("null", "signal"):
        assert parts[name].verdicts == whole[name].verdicts
        assert parts[name].repetitions == 4
        assert sum(parts[name].verdicts.values()) == 20
    assert {row["population"] for row in json.loads(scoreboard.PATH.read_text())} == {"null", "signal"}


def test_the_committed_numbers_are_of_this_rule_and_keep_the_promise():
    rows = json.loads((Path(scoreboard.RESULTS) / "scoreboard.json").read_text())
    assert {row["population"] for row in rows} == set(simulated.POPULATIONS)
    for row in rows:
        assert row["rule"] == scoreboard.rule()
        assert row["repetitions"] >= 1000
        if row["population"] in simulated.POWERED:
            assert row["rate_low"] >= 0.95
        else:
            assert row["rate_high"] <= 0.05
