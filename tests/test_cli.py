"""The command `gengap`."""

import importlib.metadata
import json
import sys

import pytest

from gengap.cli import main

STUDIES = {
    "heavy": "title: Heavy\nbase: {labels: teacher}\ngrid: {seed: 0..9}\nfull_on: gpu\nreduced: {grid: {seed: [0]}}\n",
    "light": "title: Light\nbase: {labels: teacher}\npublished: [table]\n",
}


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config/studies").mkdir(parents=True)
    for name, text in STUDIES.items():
        (tmp_path / f"config/studies/{name}.yaml").write_text(text)
    (tmp_path / "config/published").mkdir()
    (tmp_path / "config/published/table.csv").write_text(
        "source,table,row,cells,quantity,published,spread,unit\nSong (2019),4.1,1,seed=0,test_accuracy,90,,%\n"
    )


@pytest.mark.parametrize(
    ("arguments", "gpu", "expected", "note"),
    [
        (["heavy", "auto"], False, "heavy-reduced", "No NVIDIA GPU"),
        (["heavy", "auto"], True, "heavy", ""),
        (["heavy", "full"], False, "heavy", ""),
        (["heavy", "reduced"], True, "heavy-reduced", ""),
        (["heavy-reduced", "auto"], True, "heavy-reduced", ""),
        (["light", "auto"], False, "light", ""),
    ],
)
def test_scale_of_a_study_on_this_machine(arguments, gpu, expected, note, monkeypatch, capsys):
    monkeypatch.setattr(main.machine, "has_nvidia_gpu", lambda: gpu)
    assert main.main(["scale", *arguments]) == 0
    out, err = capsys.readouterr()
    assert out == expected + "\n"
    assert note in err
    assert bool(note) == bool(err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scale", "light", "reduced"], "'light' has no reduced settings"),
        (["check", "haevy"], "Did you mean 'heavy'?"),
        (["summary", "light"], "there are no finished results. Run `make run STUDY=light`"),
    ],
)
def test_a_mistake_is_one_message(arguments, words, capsys):
    assert main.main(arguments) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("error: ")
    assert words in err


def test_check_lists_studies_and_the_packs_of_one(capsys):
    assert main.main(["check"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["heavy", "10"],
        ["heavy-reduced", "1"],
        ["light", "1"],
    ]
    assert main.main(["check", "heavy"]) == 0
    assert "10 cells in 1 pack\n" in (out := capsys.readouterr().out)
    assert "  seed=9\n" in out
    assert main.main(["check", "light"]) == 0
    assert "\n1 cell in 1 pack\n" in capsys.readouterr().out


def test_on_a_terminal_a_long_list_of_cells_is_cut_and_says_so(capsys, monkeypatch):
    assert main.main(["check", "heavy"]) == 0
    whole = capsys.readouterr().out.splitlines()
    monkeypatch.setenv("LINES", "14")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main.main(["check", "heavy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 14
    assert lines[:12] == whole[:12]
    assert lines[13] == f"and {len(whole) - 12} more lines: `gengap check heavy | less` shows them all."


def test_simulations_are_listed_beside_the_studies(tmp_path, capsys):
    (tmp_path / "config/simulations").mkdir()
    text = "title: Random\nbase: {simulation: random_matrix}\ngrid: {rows: [8, 9], seed: 0..2}\n"
    (tmp_path / "config/simulations/random.yaml").write_text(text + "reduced: {grid: {seed: [0]}}\n")
    assert main.main(["check"]) == 0
    assert "random                               6 draws    2 points Random\n" in capsys.readouterr().out
    assert main.main(["check", "random"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("random: Random\n6 draws in 2 points\n\nrows=8\n  rows=8,seed=0\n")
    assert main.main(["scale", "random", "reduced"]) == 0
    assert capsys.readouterr().out == "random-reduced\n"
    assert main.main(["summary", "random"]) == 1
    assert "make run STUDY=random" in capsys.readouterr().err


def test_summary_names_what_is_there(tmp_path, capsys):
    folder = tmp_path / "results/light"
    (folder / "figures").mkdir(parents=True)
    metrics = {"cells": {"finished": 3, "dead": 1}, "verdicts": {"agrees": 2, "disagrees": 0}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert main.main(["summary", "light"]) == 0
    out = capsys.readouterr().out
    assert "3 finished, 1 dead" in out
    assert "2 agrees\n" in out
    assert "results/light/figures" in out
    assert "report" not in out  # not made yet


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["watch", "tiny", "--ones"], "error: gengap watch: unknown option '--ones'. Did you mean '--once'?"),
        (["export", "tiny", "--to=a.h5", "a.h5"], "error: gengap export: unknown option '--to'. Choose from: --help."),
        (["wacth", "tiny"], "error: gengap: unknown command 'wacth'. Did you mean 'watch'? Choose from: "),
        (["clean", "--dry-run"], "error: gengap clean: unknown option '--dry-run'. Choose from: "),
        (
            ["publish", "tiny", "folder", "more"],
            "error: gengap publish: 'more' is one argument too many. Write: gengap publish [-h] STUDY FOLDER",
        ),
        (["new", "prob", "mine"], "error: gengap new: unknown kind 'prob'. Did you mean 'probe'?"),
    ],
)
def test_a_wrong_command_or_option_is_named_with_what_is_allowed(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"gengap {importlib.metadata.version('gengap')}\n"
