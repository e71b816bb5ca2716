"""Names of files fit into file names, and a user's names do not enter the workflow's."""

import re
from pathlib import Path

import pytest

from gengap.errors import UserError
from gengap.studies.names import MOST_BYTES, RULES, path_name
from gengap.studies.packing import dataset_key, labels_key, packs
from gengap.studies.simulation import load_simulation
from gengap.studies.study import load_study

REPOSITORY = Path(__file__).resolve().parents[2]
LONGEST = 255
# In the same folder for a while: `gengap.files.storage.beside`. Slurm's plugin joins wildcards to one name.
TEMPORARY = len("..h5.abcdefgh.part")

AXES = """\
title: Many axes
base: {dataset: digits, model: mlp, loss: cross_entropy, training: {epochs: 1}}
grid:
  dataset.image_size: [4]
  dataset.standardize: [train]
  labels.train_size: [200]
  labels.test_size: [100]
  model.width: [4, 5]
  model.depth: [2]
  model.batchnorm: [before]
  model.activation: [relu]
  optimizer.name: [sgd]
  training.batch_size: [64]
  training.augmentation: [none]
  training.noise_std: [0.0]
  training.step_batchnorm: [batch]
  training.batchnorm: [running]
  training.evaluate_every: [1]
  training.dtype: [float32]
  seed: 0..3
pack_size: 2
"""


@pytest.fixture
def load(tmp_path):
    def write_and_load(text, name="s"):
        (tmp_path / f"{name}.yaml").write_text(text)
        return load_study(tmp_path / f"{name}.yaml")

    return write_and_load


def test_many_axes_give_readable_short_and_different_names(load):
    names = packs(load(AXES))
    assert len(names) == 4
    assert all(len(name) <= MOST_BYTES for name in names)
    assert all(name.startswith("image_size=4_standardize=train_train_size=200_") for name in names)
    assert {name.rpartition("_")[2] for name in names} == {"pack=0", "pack=1"}


@pytest.mark.parametrize("arm", ["a" * 250, "é" * 200, "x.y-z_" * 60])
def test_an_arm_of_hundreds_of_letters_fits_into_a_file_name(load, arm):
    text = f"title: t\ngrid: {{arm: {{{arm}: {{}}, {arm}b: {{model.width: 5}}}}}}"
    names = packs(load(text))
    assert len(names) == 2
    assert all(len(name.encode()) + TEMPORARY <= LONGEST for name in names)
    assert all(name.startswith(f"arm={arm[:20]}") for name in names)


def test_a_subset_of_forty_classes_fits_into_a_file_name(load):
    classes = ", ".join(map(str, range(40)))
    cells = load(
        f"title: t\nbase: {{dataset: cifar100}}\n"
        f"grid: {{labels: [class_subset], labels.classes: [[{classes}], [{classes}, 40]]}}"
    ).cells.values()
    first, second = (labels_key(cell) for cell in cells)
    assert first != second
    assert first.startswith("class_subset_classes=0+1+2+3+")
    assert len(first) + len(dataset_key(next(iter(cells)))) + TEMPORARY <= LONGEST


def test_a_short_name_is_spelled_as_ever_and_a_long_one_depends_on_all_of_it():
    assert path_name("width=4,init=he") == "width=4_init=he"
    long = ",".join(f"axis{number}={number}" for number in range(40))
    assert path_name(long) != path_name(long.replace("axis39", "axis38"))
    assert len(path_name("x" * 500)) == MOST_BYTES


def test_points_of_a_simulation_fit_too(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(
        "title: t\nbase: {simulation: random_matrix, distribution: normal, columns: 3}\ngrid: {rows: [5]}\n"
    )
    assert [path_name(name) for name in load_simulation(path).points] == ["rows=5"]


RESERVED = [*sorted(RULES), "figure_learning_curves", "table_final_performance"]


@pytest.mark.parametrize("name", RESERVED)
def test_a_study_is_not_called_as_a_rule(load, name):
    with pytest.raises(UserError, match=rf"{name}\.yaml: '{name}' is a rule of the workflow"):
        load("title: t\n", name)


def test_every_rule_of_the_workflow_is_reserved():
    written = {
        name
        for file in (REPOSITORY / "Snakefile", *(REPOSITORY / "rules").glob("*.smk"))
        for name in re.findall(r"^rule (\w+):", file.read_text(), re.MULTILINE)
    }
    assert written == set(RULES)


@pytest.mark.parametrize(
    "name",
    [
        *("a{b}", "{study}", "-dash", "--cores", ".hidden", " a", "a ", "a,b", "5%", "it's", "a\nb"),
        *("a b", "a;b", "a&b", "~a", "a*", "a@b", "a#b", "a(b)", "gro\u0308sser"),
    ],
)
@pytest.mark.parametrize("load_one", [load_study, load_simulation])
def test_a_name_that_a_tool_would_misread_is_refused(tmp_path, name, load_one):
    path = tmp_path / f"{name}.yaml"
    path.write_text("title: t\n")
    with pytest.raises(UserError, match=r"name of a (study|simulation)"):
        load_one(path)


@pytest.mark.parametrize("name", ["width_sweep", "größer", "study+1=b", "2026-11", "v1.2"])
def test_other_names_are_as_good_as_ever(load, name):
    assert load("title: t\n", name).name == name


def test_a_name_too_long_for_its_files_is_refused(tmp_path):
    with pytest.raises(UserError, match="has 230 bytes, and at most 215 fit"):
        load_study(tmp_path / f"{'a' * 230}.yaml")


@pytest.mark.parametrize("folder", ["studies", "simulations"])
def test_no_user_ends_a_name_as_gengap_does(loaded, project, folder):
    loaded()
    (project / f"config/{folder}/study-reduced.yaml").write_text("title: t\n")
    with pytest.raises(UserError, match=r"study-reduced\.yaml: the name ends with '-reduced'"):
        loaded()


@pytest.mark.parametrize(
    ("papers", "words"),
    [
        ("train: {source: s, studies: [study]}", "papers.yaml: train: 'train' is a rule of the workflow"),
        ("x-reduced: {source: s, studies: [study]}", "papers.yaml: x-reduced: the name ends with '-reduced'"),
        ("study: {source: s, studies: [study]}", "papers.yaml: study: a study has this name"),
        ("p: {source: s, studies: [study, study]}", "papers.yaml: p.studies: 'study' appears twice"),
        ("no: {source: s, studies: [study]}", "papers.yaml: line 1: the key no is read as false"),
    ],
)
def test_so_it_is_with_papers(loaded, project, papers, words):
    (project / "config/papers.yaml").write_text(papers)
    with pytest.raises(UserError) as caught:
        loaded()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (
            "config/studies/other.yml",
            "other.yml: is not read, since its name does not end with .yaml. Rename it to other.yaml",
        ),
        ("config/studies/Other.YAML", "Rename it to Other.yaml"),
        ("config/studies/study.yml", "study.yml: is not read"),
        ("config/simulations/draws.Yml", "draws.Yml: is not read"),
        ("config/studies/more/deep.yaml", "deep.yaml: is not read, since it lies in a folder below"),
        ("config/papers.yml", "papers.yml: is not read"),
    ],
)
def test_a_file_that_would_go_unread_is_named(loaded, project, file, words):
    (project / file).parent.mkdir(exist_ok=True)
    (project / file).write_text("title: t\n")
    with pytest.raises(UserError) as caught:
        loaded()
    assert words in str(caught.value)


def test_files_of_editors_are_left_alone(loaded, project):
    (project / "config/studies/.#study.yaml").symlink_to("nowhere")
    (project / "config/studies/study.yaml~").write_text("")
    assert set(loaded().studies) == {"study"}


@pytest.mark.parametrize("title", ["''", "' '", "|\n  one\n  two", '"a\\rb"'])
def test_a_title_is_one_line(load, tmp_path, title):
    with pytest.raises(UserError, match=r"title: .* is not allowed: it must be one line that is not empty\."):
        load(f"title: {title}\n")
    (tmp_path / "draws.yaml").write_text(f"title: {title}\nbase: {{simulation: xor}}\n")
    with pytest.raises(UserError, match=r"draws\.yaml: title: .* one line"):
        load_simulation(tmp_path / "draws.yaml")
    assert load("title: |\n  one\n").title == "one"
