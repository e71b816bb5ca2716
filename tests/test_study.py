"""Reading a study file: overrides, grids, names, and what a cell is known by."""

import json
import re

import jsonschema
import pytest
import yaml

from gengap import layout, registry
from gengap.cli.main import main
from gengap.errors import UserError
from gengap.studies import editor_schema
from gengap.studies.packing import dataset_key, labels_key, packs
from gengap.studies.published import check_published
from gengap.studies.settings import Cell
from gengap.studies.study import axis_names, axis_values, load_studies, load_study

BASE = """
title: Test
base:
  dataset: {name: cifar10, image_size: 8}
  labels: {name: teacher, train_size: 300, margin: 0.5}
  schedule: {name: plateau, patience: 5}
grid:
  model.width: [4, 6]
  optimizer.lr: [0.1, 0.01]
  seed: 3..5
"""


@pytest.fixture
def load(tmp_path):
    def write_and_load(text, *, reduced=False):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return load_study(path, reduced=reduced)

    return write_and_load


def test_every_combination_of_the_grid_is_one_cell(load):
    study = load(BASE)
    assert len(study.cells) == 2 * 2 * 3
    assert list(study.cells)[:3] == [f"width=4,lr=0.1,seed={seed}" for seed in (3, 4, 5)]
    cell = study.cells["width=6,lr=0.01,seed=4"]
    assert (cell.model.width, cell.optimizer.lr, cell.seed) == (6, 0.01, 4)
    assert (cell.dataset.image_size, cell.schedule.patience) == (8, 5)
    assert axis_names(study) == ("width", "lr", "seed")
    assert axis_values(study, cell) == {"width": 6, "lr": 0.01, "seed": 4}


def test_grids_of_a_list_are_joined_and_named_by_all_axes(load):
    study = load("title: t\ngrid:\n  - {model.width: [4], seed: [0, 1]}\n  - {model.width: [8], init: [xavier]}\n")
    assert list(study.cells) == [
        "width=4,seed=0,init=he",
        "width=4,seed=1,init=he",
        "width=8,seed=0,init=xavier",
    ]


ARMS = """
title: t
base: {training: {epochs: 9}}
grid:
  - arm:
      main: {}
      cubic: {loss.power: 3.0, optimizer: {lr: 0.01}}
      slow: {optimizer.lr: 0.02}
    model.width: [4, 8]
  - {arm: {large_batch: {training.batch_size: 512}}, model.width: [4]}
"""


def test_an_arm_sets_several_keys_under_one_name(load):
    study = load(ARMS)
    assert list(study.cells)[-2:] == ["arm=slow,width=8", "arm=large_batch,width=4"]
    cell = study.cells["arm=cubic,width=8"]
    assert (cell.loss.power, cell.optimizer.lr, cell.model.width, cell.training.epochs) == (3.0, 0.01, 8, 9)
    assert axis_values(study, cell) == {"arm": "cubic", "width": 8}
    assert study.cells["arm=main,width=4"].identity() == Cell.model_validate({"training": {"epochs": 9}}).identity()


def test_arms_share_a_pack_where_their_shape_is_the_same(load):
    parts = packs(load(ARMS))
    assert parts["arm=main_width=4_pack=0"] == ("arm=main,width=4", "arm=slow,width=4")
    assert set(parts) >= {"arm=cubic_width=8_pack=0", "arm=large_batch_width=4_pack=0"}


def test_a_range_of_snapshots_is_each_of_its_epochs(load):
    written, listed = (load(f"title: t\nbase: {{training.snapshots: {epochs}}}") for epochs in ("0..3", "[0, 1, 2, 3]"))
    assert written.cells["base"].training.snapshots == (0, 1, 2, 3)
    assert written.cells["base"].identity() == listed.cells["base"].identity()


def test_a_study_without_grid_has_one_cell(load):
    assert list(load("title: t\nbase: {seed: 7}\n").cells) == ["base"]


def test_reduced_base_is_merged_and_reduced_grid_replaces_axes(load):
    text = BASE + "reduced:\n  base: {training.epochs: 3, labels: {train_size: 50}}\n  grid: {seed: [0]}\n"
    full, reduced = load(text), load(text, reduced=True)
    assert (full.name, reduced.name) == ("study", "study-reduced")
    assert next(iter(reduced.cells)) == "width=4,lr=0.1,seed=0"
    assert len(reduced.cells) == 4
    cell = reduced.cells["width=4,lr=0.1,seed=0"]
    assert (cell.training.epochs, cell.labels.train_size, cell.labels.margin) == (3, 50, 0.5)
    assert next(iter(full.cells.values())).training.epochs == Cell().training.epochs


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{base: {trainin: {epochs: 1}}}", "study.yaml: reduced: base.trainin: unknown key."),
        ("{grid: {seed: 4..1}}", "study.yaml: reduced: grid.seed: 4..1 is not allowed"),
        ("{grid: {model.width: [0]}}", "study.yaml: reduced: cell width=0,lr=0.1,seed=3: model.width: 0 is not"),
        ("{probes: [performanse]}", "study.yaml: reduced: probes: unknown probe"),
        ("{reference: [x]}", "study.yaml: reduced: reference: this key is called"),
    ],
)
def test_a_mistake_in_the_reduced_section_is_said_to_be_there(load, section, words):
    with pytest.raises(UserError) as caught:
        load(BASE + f"reduced: {section}\n", reduced=True)
    assert words in str(caught.value)


def test_another_component_in_reduced_drops_the_old_ones_options(load):
    text = BASE + "reduced: {base: {schedule: {name: multistep, milestones: [0.5]}}}\n"
    cell = next(iter(load(text, reduced=True).cells.values()))
    assert cell.schedule.name == "multistep"
    assert cell.schedule.patience == Cell().schedule.patience


@pytest.mark.parametrize(
    ("base", "reduced", "kept"),
    [
        ("schedule: {name: plateau, patience: 7}", "schedule: {name: plateau, factor: 0.5}", True),
        ("schedule: {name: plateau, patience: 7}", "schedule.name: plateau", True),
        ("schedule: {name: plateau, patience: 7}", "schedule: plateau", True),
        ("schedule: {name: plateau, patience: 7}", "schedule: constant", False),
        ("optimizer: {momentum: 0.5}", "optimizer: {name: sgd, lr: 0.2}", True),  # sgd is the default
        ("optimizer: {momentum: 0.5}", "optimizer: {name: adam, lr: 0.2}", False),
    ],
)
def test_a_section_of_reduced_that_names_the_same_component_keeps_its_options(load, base, reduced, kept):
    text = f"title: T\nbase: {{{base}}}\ngrid: {{seed: [0]}}\nreduced: {{base: {{{reduced}, training.epochs: 3}}}}\n"
    (cell,) = load(text, reduced=True).cells.values()
    assert ((cell.schedule.patience == 7) or (cell.optimizer.momentum == 0.5)) is kept


def test_a_grid_over_names_may_give_each_its_own_options(load):
    study = load("title: t\nbase: {loss: {power: 3.0}}\ngrid: {loss: [smooth_hinge, cross_entropy]}\n")
    assert study.cells["loss=smooth_hinge"].loss.power == 3.0
    assert study.cells["loss=cross_entropy"].loss.power == Cell().loss.power


def test_identity_leaves_defaults_out_and_keeps_names():
    assert Cell().identity()["model.name"] == "song"
    assert "optimizer.lr" not in Cell().identity()
    changed = Cell.model_validate({"optimizer": {"lr": 0.3}, "seed": 2}).identity()
    assert (changed["optimizer.lr"], changed["seed"]) == (0.3, 2)


def test_a_cell_comes_back_from_its_identity_as_json(load):
    """What a job is handed is what was checked."""
    for cell in load(BASE).cells.values():
        assert Cell.from_identity(json.loads(json.dumps(cell.identity()))) == cell


def test_names_of_data_files_spell_what_differs_from_the_defaults(load):
    cell = next(iter(load(BASE).cells.values()))
    assert dataset_key(cell) == "cifar10_image_size=8"
    assert labels_key(cell) == "teacher_train_size=300_margin=0.5"
    assert dataset_key(Cell()) == "gaussian"


def test_an_exponent_with_point_and_sign_is_a_number(load):
    assert list(load("title: t\ngrid: {optimizer.lr: [1.0e-3]}\n").cells) == ["lr=0.001"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base: {seed: 1}", ["title: is missing"]),
        ("title: t\nbase: {optimizer: {lr: 0}}", ["optimizer.lr: 0 is not allowed", "a number above 0"]),
        ("title: t\nbase: {seed: true}", ["seed: true is not allowed"]),
        ("title: t\nbase: [1]", ["base: must hold keys and values"]),
        ("title: t\ngrid: {seed: 1}", ["grid.seed: must be a list of values or a range such as 0..9, got 1"]),
        ("title: t\ngrid: {seed: [0], optimizer.lr: [0.1, 0.10]}", ["'seed=0,lr=0.1'", "twice"]),
        ("title: t\ngrid: {arm: [a, b]}", ["grid.arm: must hold a name for each arm", "['a', 'b']"]),
        ("title: t\ngrid: {arm: {a,b: {}, c: 1}}", ["grid.arm.a: must hold dotted keys"]),
        ("title: t\ngrid: {arm: {a/b: {}}}", ["grid.arm: 'a/b' is no name of an arm"]),
        ("title: t\ngrid: {arm: {a: {loss.pwer: 3}}}", ["grid.arm.a", "Did you mean 'loss.power'?"]),
        ("title: t\ngrid: {arm: {a: {}, b: {seed: 0}}}", ["'arm=b' appears twice, also as 'arm=a'"]),
        ("title: t\nbase: {optimizer: {lr: .nan}}", ["optimizer.lr: nan is not allowed"]),
        ("title: t\nreduced: 3", ["reduced: must hold keys and values, got 3."]),
        ("- 1", ["must hold keys and values"]),
    ],
)
def test_a_mistake_names_file_key_and_value(load, text, words):
    with pytest.raises(UserError) as caught:
        load(text, reduced="reduced" in text)
    assert "study.yaml" in str(caught.value)
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


def test_every_mistake_of_a_file_is_told_at_once(load):
    with pytest.raises(UserError) as caught:
        load("title: 3\ntabels: []\n")
    assert "title: 3" in str(caught.value)
    assert "Did you mean 'tables'?" in str(caught.value)


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ("{name: performance, samples: 100}", ["probes: samples", "'performance' does not use it", "batchnorm"]),
        ("{name: gradient_noise, batchnorm: batch}", ["probes: batchnorm", "'gradient_noise'", "running, exact"]),
    ],
)
def test_a_probe_refuses_what_means_nothing_to_it(load, probe, words):
    with pytest.raises(UserError) as error:
        load(f"title: T\nprobes: [{probe}]\n")
    assert all(word in str(error.value) for word in words), error.value


def test_published_numbers_that_a_study_needs_must_be_there(load, tmp_path):
    line = "Song (2019),4.1,1,width=4,test_accuracy,90,,%"
    (tmp_path / "printed.csv").write_text(f"source,table,row,cells,quantity,published,spread,unit\n{line}\n")
    check_published({"study": load("title: T\ntables: [closest]\npublished: [printed]\n")}, tmp_path)
    with pytest.raises(UserError, match=r"study\.yaml: tables: 'closest' needs published numbers"):
        check_published({"study": load("title: T\ntables: [closest]\n")}, tmp_path)
    with pytest.raises(UserError, match=r"published: unknown file of published numbers 'print'.*Did you mean"):
        check_published({"study": load("title: T\npublished: [print]\n")}, tmp_path)


def test_the_earlier_name_of_a_key_or_a_folder_is_met_with_the_new_one(load, tmp_path):
    expected = r"study\.yaml: (reduced: )?reference: this key is called `published` now\. Write `published:` in its"
    for text in ("reference: [printed]", "reduced: {reference: []}"):
        with pytest.raises(UserError, match=expected):
            load(f"title: T\n{text}\n", reduced="reduced" in text)
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference/printed.csv").touch()
    with pytest.raises(UserError, match=r"'printed' is in .*reference\. Move the file to .*published\."):
        check_published({"study": load("title: T\npublished: [printed]\n")}, tmp_path / "published")


def test_a_folder_without_studies_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="no study found"):
        load_studies(tmp_path)


def test_the_projects_own_studies_fit_the_schema_that_editors_get(capsys, pytestconfig):
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    files = sorted((pytestconfig.rootpath / "config/studies").glob("*.yaml"))
    assert files
    validator = jsonschema.validators.validator_for(schema)(schema)
    validator.check_schema(schema)
    for path in files:
        validator.validate(yaml.safe_load(path.read_text()))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({"title": "t", "base": {"training": {"epochs": "many"}}})
    assert json.loads((pytestconfig.rootpath / layout.STUDY_SCHEMA).read_text()) == schema, "run: make docs"


@pytest.mark.parametrize("study", ["quickstart", "teacher_student", "luck_gaussian"])
def test_an_editor_finds_the_schema_of_a_study(study, pytestconfig):
    path = pytestconfig.rootpath / layout.study_file(study)
    named = path.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).samefile(pytestconfig.rootpath / layout.STUDY_SCHEMA)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ({"base": {"training.epoch": 3}}, "training.epoch"),
        ({"grid": {"model.width": 4}}, "4 is not"),
        ({"reduced": {"base": {"training": {"epochs": 0}}}}, "0"),
        ({"base": {"optimizer.lr": "fast"}}, "fast"),
        ({"probes": [3]}, "3"),
    ],
)
def test_an_editor_marks_mistakes(content, wrong):
    with pytest.raises(jsonschema.ValidationError, match=re.escape(wrong)):
        jsonschema.validate({"title": "t", **content}, editor_schema.schema())


def test_an_editor_completes_names_and_dotted_keys():
    found = editor_schema.schema()
    models = found["$defs"]["Model"]["anyOf"][0]["anyOf"]
    assert {"const": "lenet", "description": registry.REGISTRY["model"]["lenet"].summary} in models
    assert found["$defs"]["Cell"]["properties"]["optimizer.lr"]["exclusiveMinimum"] == 0
    assert {"model.width", "init", "seed"} <= set(found["$defs"]["Grid"]["properties"])
    assert "probes" in found["properties"]["reduced"]["properties"]


@pytest.mark.parametrize(
    "grid",
    [
        {"sample": {"method": "sobl", "points": 3}, "optimizer.lr": {"low": 0.1, "high": 1}},
        {"sample": {"method": "sobol", "point": 3}},
        {"optimizer.lr": {"lo": 0.1, "high": 1}},
        {"arm": ["main"]},
        {"arm": {"main": {"optimizer.lr": "fast"}}},
    ],
)
def test_an_editor_marks_a_mistake_in_samples_ranges_and_arms(grid):
    right = {
        "sample": {"method": "random", "points": 3},
        "optimizer.lr": {"low": 0.1, "high": 1, "scale": "log"},
        "arm": {"main": {}, "fast": {"optimizer.lr": 0.3}},
        "seed": "0..2",
    }
    schema = editor_schema.schema()
    jsonschema.validate({"title": "t", "grid": right}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"title": "t", "grid": right | grid}, schema)


def test_choices_that_a_source_leaves_open_are_sentences(load):
    study = load("title: t\nchoices:\n  - Batch size 128.\ngrid: {seed: [0]}\n")
    assert study.choices == ("Batch size 128.",)
    with pytest.raises(UserError, match="choices"):
        load("title: t\nchoices: Batch size 128.\ngrid: {seed: [0]}\n")


STREAMED = """
title: t
base:
  dataset: {{name: gaussian, image_size: 1, stream: true}}
  labels: {labels}
  model: mlp
  loss: {loss}
  training: {training}
"""


@pytest.mark.parametrize(
    ("labels", "loss", "training", "message"),
    [
        ("distinct_teacher", "distillation", "{epochs: 1}", None),
        ("distinct_teacher", "cross_entropy", "{epochs: 1}", None),
        ("teacher", "distillation", "{}", "labels.name 'teacher' cannot label them. Set it to distinct_teacher."),
        ("original", "cross_entropy", "{}", "labels.name 'original' cannot label them. Set it to distinct_teacher."),
        ("distinct_teacher", "distillation", "{batch_size: full}", "training.batch_size cannot be full"),
        ("distinct_teacher", "distillation", "{augmentation: flip}", "training.augmentation must be none, not flip"),
    ],
)
def test_streamed_images_need_settings_that_can_be_met(load, labels, loss, training, message):
    text = STREAMED.format(labels=labels, loss=loss, training=training)
    if message is None:
        assert load(text).cells
    else:
        with pytest.raises(UserError, match=re.escape(message)):
            load(text)
