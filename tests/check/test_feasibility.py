"""What can be known before anything is prepared or trained: sizes, classes, networks, batches, figures."""

import json

import numpy as np
import pytest

from gengap.datasets import digits
from gengap.models import __main__ as models_process
from gengap.models.__main__ import facts
from gengap.registry import REGISTRY, check, load
from gengap.studies.networks import Network, answer
from gengap.studies.networks import facts as facts_of
from gengap.studies.settings import Dataset, Loss, Model

ASK = answer  # before the fixture replaces it
TEACHER = "title: t\nbase: {dataset: {name: gaussian, n_train: 400, n_test: 200}, labels: {name: teacher"
CIFAR = "title: t\nbase: {dataset: {name: cifar10, image_size: 8}, loss: cross_entropy, model: mlp, labels: "


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("test_size: 100", "test_size: 500", "labels.test_size: 500 images are asked for, and 'digits' has 355"),
        (
            "train_size: 200",
            "train_size: 1443",
            "labels.train_size: 1,443 images are asked for, and 'digits' has 1,442",
        ),
        ("image_size: 4", "image_size: 9", "dataset.image_size: 9 is larger than the images of 'digits'"),
        ("model: {name: mlp, width: 4}", "model: lenet", "'lenet' needs images of at least 16 x 16 pixels, got 4 x 4"),
        ("model: {name: mlp, width: 4}", "model: {name: resnet, depth: 21}", "'resnet' has 6 n + 2 layers"),
        ("model: {name: mlp, width: 4}", "model: {name: vgg, depth: 12}", "'vgg' has 11, 13, 16, 19 layers, not 12"),
        ("loss: cross_entropy", "loss: smooth_hinge", "'smooth_hinge' is for 2 classes, and these labels have 10"),
        (
            "probes: [performance]",
            "probes: [margin]",
            "tables: 'final_performance' shows the quantity 'train_accuracy'",
        ),
        ("[learning_curves]", "[gradient_norm]", "figures: 'gradient_norm' shows the quantity 'gradient_norm'"),
        ("[learning_curves]", "[near_rank_controls]", "Add near_rank to `probes`, or remove the figure."),
        ("[final_performance]", "[curvature_agreement]", "tables: 'curvature_agreement' shows"),
        ("probes: [performance]", "probes: [{name: performance, samples: 201}]", ""),
        ("snapshots: [0, 1]", "snapshots: [0, 99]", "training.snapshots: 99 is beyond training.epochs, 2"),
        (
            "[performance]",
            "[performance, {name: path, from_epoch: 0.5}]",
            "'path' asks for epoch 0.5, at which",
        ),
        (
            "{train_size: 200",
            "{name: patches, train_size: 200",
            "patches of 7 x 7 pixels do not fit",
        ),
        ("epochs: 2,", "epochs: 2, switch_epoch: 2,", "training.switch_epoch: 2 changes nothing"),
        ("mlp, width: 4", "mlp, width: 4, group_size: 2", "model.group_size: 2 changes nothing"),
        ("mlp, width: 4", "mlp, width: 4, affine: false", "model.affine: false changes nothing, since model.batchnorm"),
        (
            "grid: {",
            "grid: {optimizer.momentum_correction: [true, false], ",
            "false changes nothing",
        ),
        (
            "grid: {",
            "grid: {labels.classes: [[1, 2], [3, 4]], ",
            "changes nothing, since 'original' does not use",
        ),
        ("epochs: 2,", "epochs: 2, noise_mode: unit,", "training.noise_mode: unit changes nothing"),
        ("epochs: 2,", "epochs: 2, statistics_steps: 5,", "training.statistics_steps: 5 changes nothing"),
        ("grid: {", "grid: {optimizer.momentum: [0.0], optimizer.nesterov: [true], ", "nesterov: true changes nothing"),
        ("{train_size: 200, test_size: 100}", "{name: class_subset}", "labels.classes: 'class_subset' needs it"),
        ("{train_size: 200, test_size: 100}", "{name: class_subset, classes: [1, 10]}", "10 is no class of 'digits'"),
        ("{train_size: 200, test_size: 100}", "{name: class_subset, classes: [1, '1']}", "are the same class"),
    ],
)
def test_what_the_dataset_or_the_network_is_not_is_refused(edited, refused, old, new, words):
    assert words in refused(edited((old, new)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEACHER + ", train_size: 500, test_size: 101}}", "601 images are asked for, and the dataset has 600"),
        (TEACHER + ", margin: 0.0, teacher_batchnorm: calibrated}}", "labels.margin: 0 leaves nothing to scale"),
        (TEACHER.replace("n_test", "stream: true, n_test") + "}}", "dataset.stream: true draws images while training"),
        ("title: t\nbase: {loss: cross_entropy}", "the images of 'gaussian' come without labels"),
        ("title: t\nbase: {labels: distinct_teacher}", "'smooth_hinge' is for 2 classes, and these labels have 10"),
        (CIFAR + "{name: class_subset, classes: [cat, 3]}}", "3 and 'cat' are the same class of 'cifar10'"),
        (CIFAR + "{name: class_subset, classes: [cat, dgo]}}", "'dgo' is no class of 'cifar10'. Did you mean 'dog'?"),
        (CIFAR + "{name: class_subset, classes: [cat, dog], train_size: 10001}}", "has 10,000 of these classes"),
        (CIFAR + "{train_size: 50001}}", "'cifar10' has 50,000"),
        (
            CIFAR + "original}\nprobes: [{name: gradient, epochs: last}]\nfigures: [gradient_balance]",
            "figures: 'gradient_balance' shows 'layer_gradient_norm' at epochs up to 0",
        ),
        (
            CIFAR + "original}\nprobes: [{name: gradient, samples: 50001}]",
            "probes: gradient: samples: 50,001 is more than the 50,000 training images",
        ),
    ],
)
def test_so_it_is_with_other_datasets_and_rules(refused, text, words):
    assert words in refused(text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            [("mlp, width: 4", "mlp, width: 4, batchnorm: before"), ("batch_size: 50", "batch_size: 1")],
            "batches of one image",
        ),
        ([("mlp, width: 4", "keskar_fc"), ("batch_size: 50", "batch_size: 1")], "batches of one image"),
        ([("mlp, width: 4", "song"), ("train_size: 200", "train_size: 201")], "a last batch of one of 201"),
        ([("mlp, width: 4", "vgg"), ("train_size: 200", "train_size: 1")], "batches of one image"),
        (
            [
                ("mlp, width: 4", "song"),
                ("[performance]", "[performance, {name: gradient, batchnorm: batch, samples: 1}]"),
            ],
            "probe 'gradient' in BatchNorm mode 'batch' reads 1 images",
        ),
        (
            [
                ("mlp, width: 4", "song"),
                ("train_size: 200", "train_size: 1001"),
                ("batch_size: 50", "batch_size: 77"),
                ("[performance]", "[performance, {name: gradient, batchnorm: batch}]"),
            ],
            "reads 1,001 images, 1,000 at a time",
        ),
        (
            [("mlp, width: 4", "song"), ("batch_size: 50", "batch_size: 50, switch_epoch: 1, switch_batch_size: 199")],
            "training.switch_batch_size: 199 leaves a last batch of one of 200",
        ),
    ],
)
def test_batchnorm_over_one_number_is_refused(edited, refused, changes, words):
    said = refused(edited(*changes))
    assert words in said
    assert "BatchNorm" in said


@pytest.mark.parametrize(
    "changes",
    [
        [("batch_size: 50", "batch_size: 1")],  # without BatchNorm
        [
            ("mlp, width: 4", "resnet, width: 2"),
            ("image_size: 4", "image_size: 8"),
            ("batch_size: 50", "batch_size: 1"),
        ],
        [
            ("mlp, width: 4", "mlp, width: 4, batchnorm: before"),
            ("batch_size: 50", "batch_size: 1, step_batchnorm: exact"),
        ],
        [("mlp, width: 4", "mlp, width: 4, batchnorm: after"), ("batch_size: 50", "batch_size: 66")],
    ],
)
def test_other_small_batches_are_not(edited, loaded, changes):
    loaded(edited(*changes))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "width: 4",
            "width: 4, batchnorm: before, norm: none",
            "model.batchnorm: before changes nothing, since model.norm",
        ),
        (
            "epochs: 2",
            "epochs: 2, switch_epoch: 1, switch_batch_size: 50",
            "or nothing is another after it. Remove it.",
        ),
        (
            "epochs: 2",
            "epochs: 2, noise_std: 0.1, noise_factor: 0.5, noise_milestones: []",
            "training.noise_factor: 0.5 changes nothing, since training.noise_std is 0 or training.noise_milestones is",
        ),
        (
            "[performance]",
            "[performance, {name: gradient, epochs: [1, 1]}]",
            "epochs: [1, 1] is not allowed: 1 is given",
        ),
        (
            "[performance]",
            "[performance, {name: gradient, epochs: 1..0}]",
            "it counts down and holds nothing. Write 0..1",
        ),
    ],
)
def test_what_changes_nothing_or_is_given_twice_is_refused(edited, refused, old, new, words):
    assert words in refused(edited((old, new)))


def test_a_probe_takes_a_range_of_epochs_as_snapshots_do(edited, loaded):
    study = loaded(edited(("[performance]", "[performance, {name: gradient, epochs: 0..2}]"))).studies["study"]
    assert study.probes[1].epochs == (0, 1, 2)


def test_what_is_hardly_meant_is_a_warning(edited, loaded):
    (warning,) = loaded(edited(("batch_size: 50", "batch_size: 512"))).warnings["study"]
    assert "training.batch_size: 512 is more than the 200 training images" in warning
    (warning,) = loaded(edited(("grid: {", "grid: {training.evaluate_every: [1, 2], "))).warnings["study"]
    assert "train the same network, and record other things of it" in warning


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            [("  training:", "  schedule: {name: multistep, milestones: [1.0]}\n  training:")],
            "milestones: 1 of 2",
        ),
        ([("  training:", "  schedule: {name: plateau, patience: 50}\n  training:")], "schedule.patience: 50 epochs"),
        ([("  training:", "  schedule: {name: cosine, warm_up: 10}\n  training:")], "schedule.warm_up: 10 of 2 epochs"),
        ([("  training:", "  schedule: {name: cyclical, peak: 1.0}\n  training:")], "schedule.peak: 1 leaves"),
        (
            [("epochs: 2", "epochs: 2, noise_std: 0.1, noise_factor: 0.5, noise_milestones: [0.9]")],
            "training.noise_milestones: 0.9 of 2 epochs is the end of the last one",
        ),
        (
            [("snapshots: [0, 1]", "snapshots: [0, 0.1, 0.15]")],
            "training.snapshots: 0.1 and 0.15 are the same weights, since an epoch has 4 steps",
        ),
        ([("  training:", "  schedule: {name: multistep, milestones: []}\n  training:")], "milestones: is empty"),
        (
            [("  training:", "  schedule: {name: multistep, milestones: [0.4, 0.5]}\n  training:")],
            "schedule.milestones: 0.4 and 0.5 of 2 epochs are both the end of epoch 1.",
        ),
        (
            [("  training:", "  schedule: {name: multistep, milestones: [0.1]}\n  training:")],
            "schedule.milestones: 0.1 of 2 epochs is the start of the first one, before any step.",
        ),
        (
            [("epochs: 2", "epochs: 2, noise_std: 0.1, noise_factor: 0.5, noise_milestones: [0.1]")],
            "training.noise_milestones: 0.1 of 2 epochs is the start of the first one",
        ),
        ([("  training:", "  schedule: {name: cosine, final: 1.0}\n  training:")], "schedule.final: 1 leaves"),
        ([("  training:", "  schedule: {name: linear, final: 1.0}\n  training:")], "schedule.final: 1 leaves"),
        ([("  training:", "  schedule: {warm_up: 0.25}\n  training:")], "0.25 epochs are no more than one step"),
        (
            [("  training:", "  schedule: {name: inverse_lipschitz, refresh_steps: 8}\n  training:")],
            "schedule.refresh_steps: 8 is as many as all steps, 4 in each of 2 epochs",
        ),
        ([("snapshots: [0, 1]", "snapshots: [0.9, 1]")], "training.snapshots: 0.9 and 1 are the same weights"),
        (
            [
                ("width: 4", "width: 4, batchnorm: before"),
                ("epochs: 2", "epochs: 2, step_batchnorm: exact, statistics_steps: 4"),
            ],
            "training.statistics_steps: an epoch has 4 steps",
        ),
        (
            [("train_size: 200", "train_size: 9"), ("batch_size: 50", "batch_size: full")],
            "cannot show all of 10",
        ),
        (
            [("  training:", "  optimizer: {weight_decay: 39.0}\n  training:")],
            "optimizer.weight_decay: 39 times optimizer.lr, 0.1, is 3.9, above 3.8: the decay alone",
        ),
        ([("  training:", "  optimizer: {momentum: 0.5, weight_decay: 31.0}\n  training:")], "is 3.1, above 3"),
        ([("  training:", "  optimizer: {name: adamw, weight_decay: 30.0}\n  training:")], "is 3, above 2"),
    ],
)
def test_so_are_moments_that_never_come_or_are_one_and_a_decay_that_overshoots(edited, loaded, changes, words):
    (warning,) = loaded(edited(*changes)).warnings["study"]
    assert words in warning


@pytest.mark.parametrize(
    "optimizer",
    [
        "{momentum: 0.5, weight_decay: 29.0}",
        "{name: adam, weight_decay: 30.0}",  # its penalty is rescaled like the gradient
    ],
)
def test_a_decay_that_is_stable_is_not(edited, loaded, optimizer):
    assert not loaded(edited(("  training:", f"  optimizer: {optimizer}\n  training:"))).warnings["study"]


def test_noise_needs_a_relu(edited, refused):
    said = refused(edited(("width: 4", "width: 4, activation: identity"), ("epochs: 2", "epochs: 2, noise_std: 0.1")))
    assert "training.noise_std: 0.1 is the noise before every ReLU, and 'mlp' has none here" in said


def test_a_dataset_is_as_its_header_says():
    for name, entry in REGISTRY["dataset"].items():
        assert entry.class_names == tuple(getattr(load("dataset", name), "CLASSES", entry.class_names)), name
    raw = digits.read(Dataset(name="digits"), None)
    entry = check("dataset", "digits")
    assert entry.class_names == raw.classes
    counts = tuple(tuple(np.bincount(labels).tolist()) for labels in (raw.train_labels, raw.test_labels))
    assert entry.class_sizes == counts


@pytest.mark.parametrize("name", [name for name, entry in REGISTRY["model"].items() if entry.depth])
def test_a_models_usual_depth_is_as_its_header_says(name):
    assert check("model", name).depth == load("model", name).DEPTH


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            {"name": "mlp", "width": 4},
            {"parameters": 48 * 4 + 4 + 5 * 4 + 5 * 10, "outputs": 18, "layers": [48 * 4, 4 * 4, 4 * 10]},
        ),
        (
            {"name": "mlp", "width": 10**6},
            {"parameters": 1000060000010, "outputs": 2000010, "layers": [48 * 10**6, 10**12, 10**7]},
        ),
    ],
)
def test_facts_of_a_network_need_no_memory(model, expected):
    expected |= {"batchnorm": 0, "relus": 2}
    assert facts(model, {"name": "cross_entropy"}, [3, 4, 4], 10) == expected


def test_a_network_that_overflows_is_one_sentence():
    said = facts({"name": "vgg", "width": 10**9}, {"name": "cross_entropy"}, [3, 8, 8], 10)["error"]
    assert said.startswith("model: 'vgg' cannot be built for 3 x 8 x 8 images: ")


@pytest.mark.thorough
def test_a_process_of_its_own_says_the_same_and_is_asked_once(tmp_path):
    """The Snakefile is read for every job, and PyTorch takes seconds to import."""
    asked = [{"model": {"name": "mlp"}, "loss": {"name": "squared"}, "image_shape": [1, 4, 4], "n_classes": 3}]
    assert ASK(json.dumps(asked)) == models_process.answer(json.dumps(asked))
    network = Network(Model(name="mlp"), Loss(name="squared"), (1, 4, 4), 3)
    assert facts_of([network], tmp_path, ask=False) == {}
    found = facts_of([network], tmp_path)
    assert found[network].parameters > 0
    assert facts_of([network], tmp_path, ask=False) == found
    (tmp_path / "networks.json").write_text("{")
    assert facts_of([network], tmp_path) == found
