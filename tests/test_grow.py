"""Seeds are added until intervals are narrow enough, and the study's file says how many."""

import math
import shutil
import subprocess
import types
from pathlib import Path

import pytest
import synthetic

from gengap import layout
from gengap.cli import grow
from gengap.cli.main import main
from gengap.errors import UserError
from gengap.studies.growing import seeds_needed, seeds_of, with_seeds
from gengap.studies.study import load_study

REPOSITORY = Path(__file__).resolve().parents[1]
TEXT = """\
title: Growing # five to begin with
grid:
  - {model.width: [2], optimizer.lr: [0.1], seed: 0..4} # the first
until: {half_width: 0.5, most: 8}
reduced:
  grid: {model.width: [2], seed: 3..4}
"""


@pytest.mark.parametrize(
    ("widths", "seeds", "until", "most", "wanted"),
    [
        ([0.4, 0.5], 5, 0.5, 20, 5),
        ([0.4, 0.6], 5, 0.5, 20, 8),  # 5 (0.6 / 0.5)² = 7.2
        ([5.0], 5, 0.5, 20, 10),  # twice as many at most
        ([5.0], 5, 0.5, 8, 8),
        ([0.51], 5, 0.5, 5, 5),
        ([math.nan, 0.1], 1, 0.5, 20, 2),
        ([0.5001], 5, 0.5, 20, 6),
        ([9.0], 30, 0.5, 20, 30),  # never fewer
    ],
)
def test_seeds_follow_the_root_of_their_number(widths, seeds, until, most, wanted):
    assert seeds_needed(widths, seeds, until, most) == wanted


def test_only_the_seeds_of_the_grid_change_in_the_file(tmp_path):
    match, seeds = seeds_of(TEXT, tmp_path / "a.yaml", reduced=False)
    assert seeds == 5
    assert with_seeds(TEXT, match, 8) == TEXT.replace("seed: 0..4", "seed: 0..7")
    match, seeds = seeds_of(TEXT, tmp_path / "a.yaml", reduced=True)
    assert seeds == 2
    assert with_seeds(TEXT, match, 4) == TEXT.replace("seed: 3..4", "seed: 3..6")


def test_without_one_range_of_seeds_nothing_is_guessed(tmp_path):
    for text in (TEXT.replace("0..4", "[0, 1]"), TEXT.replace("reduced:", "# reduced:")):
        with pytest.raises(UserError, match="growing needs one"):
            seeds_of(text, tmp_path / "a.yaml", reduced=False)


def test_finished_results_say_how_many_seeds_come_next(finished_workspace, tmp_path, monkeypatch, capsys):
    for name in ("config", "results/tiny"):
        shutil.copytree(finished_workspace / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    path = layout.study_file("tiny")
    text = path.read_text().replace("model.width: [2]", "model.width: [2, 3]").replace("seed: [0]", "seed: 0..0", 1)
    text = "\n".join(line for line in text.splitlines() if "model.width: [3]" not in line)
    path.write_text(f"{text}\nuntil: {{half_width: 0.5}}\n")
    assert main(["grow", "tiny", "--dry-run"]) == 0
    assert "2 seeds come next" in capsys.readouterr().out
    study = load_study(path)
    assert all(math.isnan(width) for width in grow.half_widths(study))
    assert len(grow.half_widths(study)) == 2

    path.write_text(text)
    assert main(["grow", "tiny", "--dry-run"]) == 1
    assert "until: is missing" in capsys.readouterr().err


def test_seeds_are_added_and_run_until_intervals_are_narrow_and_then_nothing_is_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = layout.study_file("growing")
    path.parent.mkdir(parents=True)
    config = (REPOSITORY / layout.CONFIG).read_text()
    layout.CONFIG.write_text(config.replace("studies: [quickstart]", "studies: [growing]"))
    until = {"quantity": "test_accuracy", "half_width": 0.45, "most": 20}
    keys = {"base": {"labels": "teacher"}, "probes": ["performance"], "until": until}
    synthetic.study(path.parent, {"model.width": [4], "seed": "0..2"}, name="growing", **keys)
    runs = []

    def run(command):
        """Stands for Snakemake: measures every network that the study's file names by now."""
        assert command[1:] == ["-m", "snakemake", "growing"]
        study = load_study(path)
        runs.append(len(study.cells))
        synthetic.collected(layout.results("growing"), study)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(grow, "subprocess", types.SimpleNamespace(run=run))
    assert main(["grow", "growing"]) == 0
    assert runs == [3, 4]
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("growing: 3 seeds, widest interval ± 0.49")
    assert said[-1] == "All intervals are narrow enough."
    grown = path.read_text()
    assert main(["grow", "growing"]) == 0
    assert runs == [3, 4, 4]
    assert path.read_text() == grown
    failing = types.SimpleNamespace(run=lambda command: subprocess.CompletedProcess(command, 1))
    monkeypatch.setattr(grow, "subprocess", failing)
    assert main(["grow", "growing"]) == 1
    assert "growing: the run failed; see above" in capsys.readouterr().err
