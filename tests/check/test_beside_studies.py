"""Files beside the studies, and arguments: the configuration, published numbers, simulations, names, times."""

import argparse
import errno
from pathlib import Path

import pytest

from gengap.cli import main, numbers
from gengap.cli.new import new
from gengap.errors import UserError, refusal
from gengap.studies.config import check_config
from gengap.studies.project import load_project
from gengap.studies.published import read_rows

CONFIG = {"studies": ["study"], "data_root": "data/raw", "device": "auto", "container": "gengap.sif"}
HEAD = "source,table,row,cells,quantity,published,spread,runs,unit,tolerance,note\n"
ROW = "s,t,r,seed=0,test_accuracy,88.6,,,%,,\n"
DRAWS = "title: t\nbase: {simulation: random_matrix, rows: 5, columns: 3}\n"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("store", "", "store: '' is no folder of this machine. Write the path of one."),
        ("store", "https://x/y", "store: 'https://x/y' is no folder"),
        ("data_root", "s3://bucket", "data_root: 's3://bucket' is no folder"),
        ("data_root", "a_file", "data_root: 'a_file' is no folder"),
        ("store", ".", "store: '.' holds this project. Name a folder for the store alone."),
        ("store", "..", "store: '..' holds this project"),
    ],
)
def test_a_folder_that_is_none_is_refused(project, key, value, words):
    (project / "a_file").write_text("")
    with pytest.raises(UserError) as caught:
        check_config({**CONFIG, key: value}, ["study"], [], Path("config.yaml"))
    assert words in str(caught.value)


@pytest.mark.parametrize("store", ["/scratch/store", ".gengap/store", "../store"])
def test_other_folders_are_not(project, store):
    assert check_config({**CONFIG, "store": store}, ["study"], [], Path("config.yaml")).store == store


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD, "has no line below its columns, so there is nothing to compare with"),
        (HEAD + ROW.replace("seed=0", '"seed=0,seed=1"'), "line 2: cells: 'seed=0,seed=1' gives 'seed' twice"),
        (HEAD + ROW.replace("seed=0", '"lr=0.1, lr=0.1"'), "gives 'lr' twice"),
        (HEAD + ROW.replace(",r,", ", ,"), "line 2: row: is empty, and verdicts call a number by it. Say where it was"),
        (HEAD + ROW.replace("s,t", ",t"), "line 2: source: is empty"),
        (HEAD + ROW + ROW, "lines 2 and 3: row: 'r' gives test_accuracy twice. Remove one, or give the rows different"),
        (HEAD + ROW + ROW.replace("88.6", "97.1"), "lines 2 and 3: row: 'r' gives test_accuracy twice"),
        (HEAD + ROW + ROW.replace("t,r,", "t,q,") + ROW.replace("s,t,r", "s, t ,r"), "lines 2 and 4: row: 'r' gives"),
        (HEAD + ROW + ROW.replace("seed=0", "seed=1"), "lines 2 and 3: row: 'r' gives test_accuracy twice"),
        (HEAD.replace(",", ";"), "its columns are separated by ';'. Separate them by commas."),
        (HEAD.replace(",", "\t"), "its columns are separated by"),
    ],
)
def test_published_numbers_that_say_nothing_or_two_things_are_refused(tmp_path, text, words):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        read_rows(tmp_path / "x.csv")
    assert f"x.csv: {words}" in str(caught.value) or words in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ("wdith=4", "p.csv: row 'q': cells: unknown axis 'wdith'. Did you mean 'width'?"),
        ("model.width=4", "cells: unknown axis 'model.width'"),
        ('"seed=0,batch_sise=30"', "cells: unknown axis 'batch_sise'. Did you mean 'batch_size'?"),
        ("width=4;seed=0", "p.csv: line 3: cells: 'width=4;seed=0' is no selector. Write axis=value pairs such as"),
    ],
)
def test_printed_numbers_of_an_axis_that_there_is_not_are_refused(project, edited, cells, words):
    (project / "config/published").mkdir()
    (project / "config/published/p.csv").write_text(HEAD + ROW + ROW.replace("seed=0", cells).replace("t,r,", "t,q,"))
    (project / "config/studies/study.yaml").write_text(edited() + "published: [p]\n")
    with pytest.raises(UserError) as caught:
        load_project()
    assert words in str(caught.value)


def test_one_number_in_two_files_is_refused(project, edited):
    (project / "config/published").mkdir()
    for name in ("p", "copy"):
        (project / f"config/published/{name}.csv").write_text(HEAD + ROW)
    (project / "config/studies/study.yaml").write_text(edited() + "published: [p, copy]\n")
    with pytest.raises(UserError, match=r"study\.yaml: published: 'p' and 'copy' both give test_accuracy of "):
        load_project()


@pytest.mark.parametrize("file", ["p.CSV", "p.tsv", "P.csv.txt", "p"])
def test_a_file_of_numbers_that_would_go_unread_is_named(project, edited, file):
    (project / "config/published").mkdir()
    (project / "config/published" / file).write_text(HEAD + ROW)
    (project / "config/studies/study.yaml").write_text(edited() + "published: [p]\n")
    with pytest.raises(UserError) as caught:
        load_project()
    said = str(caught.value)
    assert f"published: 'p': config/published/{file} is not read. Rename it to config/published/p.csv." in said


@pytest.mark.parametrize("cells", ['"columns=3,row=5"', "width=4"])
def test_so_they_are_of_a_simulation(project, edited, cells):
    (project / "config/published").mkdir()
    (project / "config/published/p.csv").write_text(HEAD + ROW + ROW.replace("seed=0", cells).replace("t,r,", "t,q,"))
    (project / "config/studies/study.yaml").write_text(edited())
    (project / "config/simulations/draws.yaml").write_text(DRAWS + "published: [p]\n")
    with pytest.raises(UserError, match=r"p\.csv: row 'q': cells: unknown axis '(row|width)'"):
        load_project()


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("grid: {simulation: [random_matrix, xor]}", "grid.simulation: a file has one simulation"),
        ("grid: [{simulation: [xor]}]", "grid.simulation: a file has one simulation"),
        ("tables: [final_performance]", "tables: 'final_performance' shows the quantity 'train_accuracy', which"),
        ("tables: [memorisation]", "which 'random_matrix' does not measure. Remove the table."),
        ("published: [x]", "published: unknown file of published numbers 'x'. There is none."),
    ],
)
def test_a_simulation_is_told_in_its_own_file(project, edited, end, words):
    (project / "config/studies/study.yaml").write_text(edited())
    (project / "config/simulations/draws.yaml").write_text(f"{DRAWS}{end}\n")
    with pytest.raises(UserError) as caught:
        load_project()
    assert f"config/simulations/draws.yaml: {words}" in str(caught.value) or words in str(caught.value)
    assert "config/studies/draws.yaml" not in str(caught.value)


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "1e400", "soon", ""])
def test_times_on_the_command_line_are_finite_and_from_zero(text):
    with pytest.raises(argparse.ArgumentTypeError, match="it must be a finite number from 0"):
        numbers.from_zero(text)
    assert numbers.from_zero("0.5") == 0.5


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("study", "train", "'train' is a rule of the workflow"),
        ("study", "collect", "'collect' is a rule of the workflow"),
        ("study", "x" * 250, "has 250 bytes, and at most 215 fit"),
        ("probe", "x" * 150, "the name has 150 letters, and at most 100 fit into the names of files."),
        ("table", "verdicts", "gengap itself writes a table 'verdicts'. Choose another name."),
    ],
)
def test_nothing_is_written_that_would_be_refused_afterwards(project, kind, name, words):
    with pytest.raises(UserError) as caught:
        new(kind, name, plugin=True)
    assert words in str(caught.value)
    assert not list(project.rglob(f"*{name[:20]}*"))


def test_a_name_too_long_for_a_file_is_one_sentence():
    told = refusal(OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300))
    assert str(told).endswith("xxx ...: this name is too long for a file. Give a shorter one.")


@pytest.mark.parametrize("words", ["explain loop", "explain loop/x", "explain results/t/cells.csv", "check"])
def test_a_link_that_leads_to_itself_is_one_sentence(project, capsys, words):
    for name in ("loop", "results"):
        (project / name).symlink_to(name)
    (project / "config/config.yaml").write_text(
        "studies: [t]\nstore: loop\ndata_root: data\ndevice: cpu\ncontainer: none.sif\n"
    )
    (project / "config/studies/t.yaml").write_text("title: t\nbase: {labels: teacher}\n")
    assert main.main(words.split()) == 1
    assert "is a link that leads back to itself. Remove it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("file", "file: a file is in the way of this folder"),
        ("file/lab", "file/lab: a file is in the way of this folder"),
        ("link", "link: is a link to nowhere, which does not exist"),
    ],
)
def test_a_lab_is_made_in_a_folder(project, capsys, folder, words):
    (project / "file").touch()
    (project / "link").symlink_to("nowhere")
    assert main.main(["init", folder]) == 1
    assert words in capsys.readouterr().err
    assert sorted(path.name for path in project.iterdir()) == ["config", "file", "link"]


def test_a_configuration_that_names_nothing_stops_only_who_asks_for_it(project, edited, capsys):
    (project / "config/studies/study.yaml").write_text(edited())
    (project / "config/config.yaml").write_text("studies: []\ndata_root: d\ndevice: cpu\ncontainer: none.sif\n")
    assert main.main(["check", "study"]) == main.main(["check"]) == 0
    assert main.main(["jobs"]) == main.main(["status"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said == ["error: config/config.yaml: studies: names nothing to build. Choose from: study."] * 2
