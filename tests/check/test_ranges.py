"""Numbers are finite, in range, and still what they are in float32; a message says what is allowed."""

import pytest

from gengap.errors import UserError
from gengap.studies.study import load_study


@pytest.fixture
def message(tmp_path):
    def refuse(base, rest=""):
        path = tmp_path / "s.yaml"
        path.write_text(f"title: t\nbase: {base}\n{rest}")
        with pytest.raises(UserError) as caught:
            load_study(path)
        return str(caught.value)

    return refuse


@pytest.mark.parametrize(
    ("base", "words"),
    [
        (
            "{training: {snapshots: [.nan, -3, .inf, 99]}}",
            "training.snapshots[0]: nan is not allowed: it must be finite",
        ),
        ("{training: {snapshots: [0, -3]}}", "training.snapshots[1]: -3 is not allowed: it must be a number from 0"),
        ("{training: {snapshots: [0, .inf]}}", "training.snapshots[1]: inf is not allowed: it must be finite"),
        ("{training: {snapshots: [1, 1]}}", "training.snapshots: [1, 1] is not allowed: 1 is given twice"),
        ("{training: {snapshots: 9..0}}", "it counts down and holds nothing. Write 0..9."),
        ("{optimizer: {weight_decay: .inf}}", "optimizer.weight_decay: inf is not allowed"),
        ("{optimizer: {lr: 1.0e+39}}", "it is infinite in float32"),
        ("{optimizer: {lr: 1.0e-50}}", "it is 0 in float32"),
        ("{optimizer: {name: adam, beta2: 0.9999999999}}", "it is 1 in float32"),
        ("{optimizer: {momentum: .nan}}", "optimizer.momentum: nan"),
        ("{schedule: {name: plateau, threshold: .inf}}", "schedule.threshold: inf is not allowed"),
        ("{schedule: {name: plateau, threshold: 3.0}}", "it must be a number from 0 to 1"),
        ("{schedule: {name: multistep, milestones: [.nan]}}", "schedule.milestones[0]: nan"),
        ("{labels: {name: teacher, margin: .inf}}", "labels.margin: inf"),
        ("{training: {noise_std: .inf}}", "training.noise_std: inf"),
        ("{training: {stop_accuracy: 0.0}}", "it must be a number above 0 to 1, or null"),
        ("{training: {stop_loss: -.inf}}", "training.stop_loss: -inf"),
        ("{dataset: {std: .inf}}", "dataset.std: inf"),
        ("{model: {width: 1000000000000000000000}}", "it must be a whole number from 1 to 1,000,000,000"),
        ("{model: {name: mlp, depth: 1000000}}", "it must be a whole number from 1 to 1,000, or null"),
        ("{seed: -1}", "seed: -1 is not allowed: it must be a whole number from 0"),
        ("{dataset: {data_seed: 10000000000000000000}}", "dataset.data_seed"),
    ],
)
def test_a_number_out_of_range_is_refused_with_its_range(message, base, words):
    said = message(base)
    assert "s.yaml: " in said
    assert words in said


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("probes: [{name: performance, epochs: [.nan]}]", "probes[0].epochs[0]: nan is not allowed: it must be finite"),
        ("probes: [{name: performance, epochs: [-1]}]", "probes[0].epochs[0]: -1"),
        ("probes: [{name: performance, epochs: [200]}]", "asks for epoch 200, at which no weights are kept"),
        ("probes: [{name: path, from_epoch: .inf}]", "from_epoch: inf is not allowed"),
        ("pack_size: 0", "pack_size: 0 is not allowed"),
        ("grid: {optimizer.lr: [0.1, .nan]}", "optimizer.lr: nan"),
        ("grid: {arm: {a: {optimizer.weight_decay: .inf}}}", "optimizer.weight_decay: inf"),
        ("grid: {seed: 5..1}", "grid.seed: 5..1 is not allowed: it counts down"),
    ],
)
def test_so_it_is_in_every_place(message, rest, words):
    assert words in message("{}", rest)


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("{training: {batch_size: ful}}", "batch_size: 'ful' is not allowed: it must be a whole number from 1 to"),
        ("{training: {batch_size: 0}}", ", or 'full'."),
        ("{labels: {name: class_subset, classes: [3]}}", "labels.classes: [3] is not allowed: it must be a list of at"),
        ("{training: {epochs: 1e2}}", "'1e2' is text, not a number"),
        ("{training: {epochs: 1e2}}", "Write 100."),
        ("{optimizer: {lr: .5e3}}", "Write 500.0 or"),
        ("{model: {epochs: 3}}", "base.model.epochs: unknown key. It is a key of 'base.training'."),
        ("{training: {pack_size: 3}}", "base.training.pack_size: unknown key. Write it at the left margin, beside"),
        ("{model: {probes: [path]}}", "base.model.probes: unknown key. Write it at the left margin, beside 'base'."),
        ("{optimizer: {'lr:0.1': null}}", "A space is missing after the colon"),
        ("{dataset: {name: 3}}", "it must be text. Write '3' in quotes"),
        ("{training: {dtype: half}}", "it must be 'float32', 'float64', 'bfloat16' or 'tf32'"),
    ],
)
def test_a_message_has_no_word_of_a_library(message, base, words):
    said = message(base)
    assert words in said
    assert not [word for word in ("constrained", "items", "Input", "input should", "type=") if word in said]


@pytest.mark.parametrize(
    ("base", "rest", "allowed"),
    [
        ("{}", "probes: [{name: performance, samples: 3, banana: 1}]", "batchnorm, epochs, name."),
        ("{}", "figures: [{name: learning_curves, xs: 1}]", "name."),
        ("{optimizer: {name: adam, betas: 1}}", "", "beta1, beta2, eps, lr, name, weight_decay."),
        ("{dataset: {name: digits, n: 3}}", "", "image_size, name, standardize."),
    ],
)
def test_allowed_are_the_keys_of_the_part_that_is_named(message, base, rest, allowed):
    said = message(base, rest).splitlines()[0]
    assert said.endswith(f"unknown key. Allowed: {allowed}")


def test_one_line_for_each_mistake(message):
    assert len(message("{training: {batch_size: 0, epochs: 0}, seed: true}").splitlines()) == 3
