"""A hint names what was meant, or there is none."""

import pandas as pd
import pytest

from gengap import registry
from gengap.errors import UserError, nearest
from gengap.results import Results
from gengap.studies.project import load_project
from gengap.studies.settings import leaf_names

CELLS = ["width=4,share=0.0,seed=1", "width=4,share=0.4,seed=1", "width=16,share=0.0,seed=1"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("width=4,share=0,seed=1", CELLS[0]),
        ("width=4,share=0.40,seed=1", CELLS[1]),
        ("seed=1,width=16,share=0", CELLS[2]),
        ("width=4.0,share=0.0,seed=1", CELLS[0]),
        ("width=4,share=0.2,seed=1", ""),
        ("width=5,share=0.0,seed=1", ""),
        ("width=4,share=0.0", ""),
    ],
)
def test_numbers_in_the_names_of_cells_are_compared_as_numbers(name, meant):
    assert nearest(name, CELLS) == meant


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("labels.chance_share", ""),
        ("labels.teacher_size", ""),
        ("optimizer.learning_rate", "optimizer.lr"),
        ("training.learning_rate", "optimizer.lr"),
        ("training.num_epochs", "training.epochs"),
        ("wd", "optimizer.weight_decay"),
        ("training.lr", "optimizer.lr"),
        ("model.epochs", "training.epochs"),
        ("lr", "optimizer.lr"),
        ("batch_size", "training.batch_size"),
        ("size", ""),
        ("model.widht", "model.width"),
        ("trainig.epochs", "training.epochs"),
        ("training.batchsize", "training.batch_size"),
    ],
)
def test_a_key_is_one_of_its_section_or_the_same_of_another(key, meant):
    assert nearest(key, leaf_names()) == meant


@pytest.mark.parametrize(
    ("name", "choices", "meant"),
    [
        ("tyni", ["tiny", "large"], "tiny"),
        ("ReLU", ["relu", "identity"], "relu"),
        ("cifar", ["cifar10", "cifar100"], "cifar10"),
        ("cifar1000", ["cifar10", "cifar100"], ""),
        ("resnet56", ["resnet20", "vgg"], ""),
        ("adamw", ["sgd", "adam", "adagrad"], "adam"),
        ("dropout", ["width", "depth"], ""),
        ("width.yaml", ["width", "width_sweep"], "width"),
        ("config/studies/width.yaml", ["width", "depth"], "width"),
        ("table_1.csv", ["table_1", "table_2"], "table_1"),
        ("width.txt", ["depth", "lr"], ""),
        ("fmnist", ["mnist", "fashion_mnist"], "fashion_mnist"),
        ("F-MNIST", ["mnist", "fashion_mnist"], "fashion_mnist"),
        ("emnist", ["mnist", "fashion_mnist"], ""),
        ("nadam", ["adam", "sgd"], ""),
        ("num_epochs", ["epochs", "snapshots"], "epochs"),
        ("MSELoss", ["cross_entropy", "squared"], "squared"),
        ("kaiming_normal", ["normal", "he", "xavier"], "he"),
    ],
)
def test_a_name_that_differs_in_its_numbers_is_no_slip(name, choices, meant):
    assert nearest(name, choices) == meant


def test_an_unknown_cell_is_answered_with_the_one_that_was_meant(tmp_path):
    cells = pd.DataFrame({"cell": CELLS, "share": [0.0, 0.4, 0.0], "pack": "p"})
    results = Results(tmp_path, {"axes": ["share"]}, cells)
    with pytest.raises(Exception, match=r"Did you mean 'width=4,share=0\.0,seed=1'\? The grid is: share in 0\.0, 0\.4"):
        results.network("width=4,share=0,seed=1")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[learning_curves]", "all", "figures: 'all' is not allowed: it must be a list."),
        ("snapshots: [0, 1]", "snapshots: last", "'last' is not allowed: it must be a list, or a range such as 0..9."),
        ("[performance]", "All", "probes: 'All' is not allowed: it must be a list, or 'all'."),
        ("[performance]", "performance", "it must be a list, or 'all'. Write [performance]."),
        ("[learning_curves]", "learning_curves", "it must be a list. Write [learning_curves]."),
        ("mlp, width: 4", "mlp, batchnorm: true", "it must be 'none', 'before' or 'after'."),
        ("mlp, width: 4", "mlp, width: '4'", "from 1 to 1,000,000,000. Write 4 without quotes."),
        ("grid: {", "base2: {optimizer.lr: '0.1'}\ngrid: {", "base2: unknown key. Did you mean 'base'?"),
        ("snapshots: [0, 1]", "stop_accuracy: '.5'", "or null. Write .5 without quotes."),
    ],
)
def test_what_is_to_be_written_instead_is_allowed_there(edited, refused, old, new, words):
    said = refused(edited((old, new)))
    assert words in said
    assert words.split()[-2:] == said.split()[-2:] or "base2" in words


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        ("optimizer.lr", "axis: 'optimizer.lr' is no axis with several values. Did you mean 'lr'? Choose from: lr."),
        ("learning_rate", "Did you mean 'lr'?"),
        ("width", "axis: 'width' is no axis with several values. Choose from: lr."),
    ],
)
def test_an_axis_is_told_by_its_short_name(edited, refused, axis, words):
    table = f"[{{name: paired_effects, axis: {axis}}}]"
    assert words in refused(edited(("optimizer.lr: [0.1]", "optimizer.lr: [0.1, 0.2]"), ("[final_performance]", table)))


@pytest.mark.parametrize("key", ["optimizer.rate_of_it", "model.colour", "labels.chance_share"])
def test_an_unknown_key_of_a_section_is_told_the_keys_of_this_section(edited, refused, key):
    section = key.partition(".")[0]
    choices = refused(edited(("grid: {", f"grid: {{{key}: [1], "))).partition("Choose from: ")[2].split(", ")
    assert len(choices) > 3
    assert all(choice.startswith(f"{section}.") for choice in choices)


@pytest.mark.parametrize("old", ["loss: cross_entropy", "model: {name: mlp, width: 4}"])
def test_a_wrong_name_in_base_is_told_there(edited, refused, old):
    section = old.partition(":")[0]
    assert f"study.yaml: base.{section}: unknown {section} 'mine'." in refused(edited((old, f"{section}: mine")))


def test_a_wrong_name_on_an_axis_is_told_of_its_cell(edited, refused):
    said = refused(edited(("grid: {", "grid: {loss.name: [mine], ")))
    assert "cell lr=0.1,seed=0,loss=mine" in said or "cell loss=mine,lr=0.1,seed=0" in said


@pytest.mark.parametrize(
    ("file", "old", "new", "key"),
    [
        ("probes/mine.py", "[performance]", "[performance, {name: mine, samples: 5}]", "samples"),
        ("labels/mine.py", "labels: {", "labels: {name: mine, margin: 0.5, ", "margin"),
        ("models/mine.py", "{name: mlp, width: 4}", "{name: mine, width: 4, depth: 3}", "depth"),
    ],
)
def test_a_setting_that_a_part_of_ones_own_does_not_read_is_told_with_its_header(
    project, monkeypatch, edited, refused, file, old, new, key
):
    monkeypatch.setattr(registry.REGISTRY, "_tables", {})  # read again, with this project's plugins
    (project / "plugins" / file).parent.mkdir(parents=True)
    (project / "plugins" / file).write_text('PART = {"summary": "s"}\n')
    said = refused(edited((old, new)))
    assert f"{key}: 'mine' does not use it." in said
    assert f'"{key}"] into PART of plugins/{file}.' in said


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ("model.depth: null", "grid.model.depth: must be a list of values or a range such as 0..9, got null."),
        ("optimizer.nesterov: true", "got true. Write [true]."),
        ("model.depth: 2", "got 2. Write [2]."),
        ("model: {depth: [2]}", "Give keys with a dot: model.depth."),
        ("schedule: {warm_up: [1]}", "Give keys with a dot: schedule.warm_up."),
        ("training: [{epochs: 1}]", "grid.training: is a section. Give its keys with a dot: training.batch_size, "),
        ("after: [a]", "grid.after: is a section. Give its keys with a dot: after.origin, "),
        ("arm: null", "grid.arm: must hold a name for each arm, and its settings by dotted key, got null."),
        ("arm: {a: null}", "grid.arm.a: must hold dotted keys and values, got null. {} changes nothing."),
    ],
)
def test_a_grid_is_told_how_it_is_written(edited, refused, grid, words):
    assert words in refused(edited(("grid: {", f"grid: {{{grid}, ")))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "[learning_curves]",
            "[{name: paired_effects, axis: lr}]",
            "figures[0]: 'paired_effects' is no figure. Write it below `tables`, or choose another name here.",
        ),
        ("[final_performance]", "[learning_curves]", "tables: 'learning_curves' is no table. Write it below `figures`"),
        ("[performance]", "[adam]", "probes: 'adam' is no probe. Write it below `base.optimizer`"),
        ("{name: mlp, width: 4}", "he", "model: 'he' is no model. Write it below `base.init`"),
        (
            "[performance]",
            "[{name: gradiant, kind: x}]",
            "probes[0]: unknown probe 'gradiant'. Did you mean 'gradient'",
        ),
        ("{name: mlp, width: 4}", "{name: mpl, heads: 3, head2: 1}", "base.model: unknown model 'mpl'. Did you mean"),
    ],
)
def test_a_wrong_name_is_told_before_its_options(edited, refused, old, new, words):
    assert words in refused(edited((old, new)))


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("reduced:", "reduced: must hold keys and values, got null. Write what differs from the full settings"),
        ("reduced: [lr]", "reduced: must hold keys and values, got ['lr']."),
        ("reduced: true", "reduced: must hold keys and values, got true."),
        ("Reduced: {}", "Reduced: unknown key. Did you mean 'reduced'?"),
        ("training.epochs: 1", "training.epochs: unknown key. Write it below 'base'. Allowed: "),
        ("reduced: {training.epochs: 1}", "reduced: training.epochs: unknown key. Write it below 'base'."),
        ("reduced: {probes: []}", "reduced: tables: 'final_performance' shows the quantity 'train_accuracy'"),
        ("reduced: {base: {labels.test_size: 500}}", "reduced: cell lr=0.1,seed=0: labels.test_size: 500 images"),
        ("reduced: {base: {model: lenet}}", "reduced: cell lr=0.1,seed=0: model.name: 'lenet' needs images of"),
        ("reduced: {grid: {training.batch_size: [300, 400]}}", "reduced: grid: cells 'lr=0.1,seed=0,batch_size=300'"),
    ],
)
def test_a_mistake_of_the_reduced_settings_says_so(edited, refused, end, words):
    assert f"study.yaml: {words}" in refused(edited() + end + "\n")


def test_so_it_is_with_simulations(project, edited):
    (project / "config/studies/study.yaml").write_text(edited())
    for end in ("reduced:", "reduced: 3"):
        text = f"title: t\nbase: {{simulation: random_matrix, rows: 5, columns: 3}}\n{end}\n"
        (project / "config/simulations/draws.yaml").write_text(text)
        with pytest.raises(UserError, match=r"draws\.yaml: reduced: must hold keys and values, got (null|3)\."):
            load_project()


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("plugins/loss/mine.py", 'PART = {"summary": "s"}', "unknown loss 'mine': plugins/loss/mine.py is not read."),
        ("plugins/mine.py", 'PART = {"summary": "s"}', "Move it to plugins/losses."),
        ("plugins/losses/old/mine.py", 'PART = {"summary": "s"}', "plugins/losses/old/mine.py is not read."),
        ("plugins/losses/mine.py", "def loss(): ...", "plugins/losses/mine.py: has no header, so it is no loss."),
    ],
)
def test_a_file_that_is_no_part_yet_is_named(project, edited, file, text, words):
    (project / file).parent.mkdir(parents=True)
    (project / file).write_text(text)
    (project / "config/studies/study.yaml").write_text(edited(("loss: cross_entropy", "loss: mine")))
    with pytest.raises(UserError) as caught:
        load_project()
    assert words in str(caught.value)
