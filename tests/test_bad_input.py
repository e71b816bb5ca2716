"""Every mistake a user can make gives one clear message, and finished results stay as they are.

Each goes through the real command line.
"""

import shutil

import pytest
from stored import edited

STUDY = "config/studies/tiny.yaml"
WIDTH_3 = "model.width: [3], optimizer.lr: [0.1], seed: [0]"


def study(old, new):
    """A mistake in the study's file."""
    return lambda workspace: workspace.edit(STUDY, old, new)


def config(old, new):
    return lambda workspace: workspace.edit("config/config.yaml", old, new)


def cut_prepared_data_short(workspace):
    (path,) = (workspace / "data/prepared").glob("*.h5")
    path.write_bytes(path.read_bytes()[:1000])


def cut_mnist_short(workspace):
    folder = workspace / "data/raw/MNIST/raw"
    folder.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte").write_bytes(b"\x00\x00\x08\x03\x00")
    use_mnist(workspace)


def use_mnist(workspace):
    workspace.edit(STUDY, "{name: gaussian, image_size: 8, n_train: 400, n_test: 200}", "mnist")


def put_a_file_in_the_way(workspace):
    """No permissions: the superuser, who runs many a container, may write everywhere."""
    shutil.rmtree(workspace / "results/tiny/figures")
    (workspace / "results/tiny/figures").write_text("not a folder")


def age_measurements(workspace):
    with edited(workspace / "results/tiny/measurements.h5") as file:
        file.attrs["format"] = 0


def cut_measurements_short(workspace):
    path = workspace / "results/tiny/measurements.h5"
    path.write_bytes(path.read_bytes()[:1000])


CASES = {
    "unknown section": (
        study("  training: {", "  trainning: {"),
        [STUDY, "base.trainning: unknown key", "Did you mean 'training'?", "Allowed: after, arm, dataset, init"],
    ),
    "unknown key": (
        study("batch_size: 20", "batchsize: 20"),
        [STUDY, "training.batchsize: unknown key", "Did you mean 'batch_size'?", "Allowed: ", "batch_size, batchnorm"],
    ),
    "unknown key of the study": (
        study("title: Tiny", "title: Tiny\nfigure: [learning_curves]"),
        [STUDY, "figure: unknown key", "Did you mean 'figures'?"],
    ),
    "key that the component does not use": (
        study("n_test: 200}", "n_test: 200, standardize: pool}"),
        [STUDY, "dataset.standardize", "'gaussian' does not use it", "channels"],
    ),
    "unknown grid key": (
        study("optimizer.lr: [0.1], seed: [0]}\n  - {model.width: [3]", "optimizer.lr: [0.1]}\n  - {model.widht: [3]"),
        [STUDY, "grid", "'model.widht'", "Did you mean 'model.width'?"],
    ),
    "unknown dataset": (
        study("{name: gaussian, image_size: 8, n_train: 400, n_test: 200}", "cifar"),
        [STUDY, "dataset", "'cifar'", "Did you mean 'cifar10'?", "Choose from: cifar10, cifar100, digits"],
    ),
    "unknown probe": (
        study("probes: [performance]", "probes: [preformance]"),
        [STUDY, "probes", "'preformance'", "Did you mean 'performance'?", "margin, near_rank"],
    ),
    "unknown figure": (
        study("figures: [accuracy_by_width]", "figures: [accuracy_by_with]"),
        [STUDY, "figures", "'accuracy_by_with'", "Did you mean 'accuracy_by_width'?"],
    ),
    "unknown study": (
        config("studies: [tiny]", "studies: [tyni]"),
        ["config/config.yaml: studies", "'tyni'", "Did you mean 'tiny'?"],
    ),
    "unknown device": (config("device: auto", "device: gpu"), ["config/config.yaml: device: 'gpu'", "'cuda'"]),
    "unknown published numbers": (
        study("tables: [final", "published: [song_table_41]\ntables: [final"),
        [STUDY, "published", "'song_table_41'", "Did you mean 'song_table_4_1'?"],
    ),
    "wrong type": (study("epochs: 1,", "epochs: many,"), [STUDY, "training.epochs: 'many'", "a whole number"]),
    "number as text": (
        study(WIDTH_3, "model.width: [3], optimizer.lr: [1e-3], seed: [0]"),
        [STUDY, "width=3,lr=1e-3,seed=0", "optimizer.lr: '1e-3' is text, not a number", "0.001", "1.0e-3"],
    ),
    "impossible width": (
        study(WIDTH_3, "model.width: [0], optimizer.lr: [0.1], seed: [0]"),
        [STUDY, "model.width: 0 is not allowed", "a whole number from 1"],
    ),
    "empty grid": (study("model.width: [3]", "model.width: []"), [STUDY, "grid.model.width: is empty"]),
    "no grid at all": (
        study(f"  - {{model.width: [2], optimizer.lr: [0.1], seed: [0]}}\n  - {{{WIDTH_3}}}", "  []"),
        [STUDY, "grid: is empty"],
    ),
    "duplicate cell": (study("model.width: [3]", "model.width: [3, 3]"), [STUDY, "'width=3,lr=0.1,seed=0'", "twice"]),
    "duplicate key": (study("title: Tiny", "title: Tiny\ntitle: Small"), [STUDY, "line 2", "'title' is given twice"]),
    "duplicate probe": (study("[performance]", "[performance, performance]"), [STUDY, "'performance' appears twice"]),
    "epoch without weights": (
        study("probes: [performance]", "probes: [{name: performance, epochs: [0.5]}]"),
        [STUDY, "'performance' asks for epoch 0.5", "choose from: 0, 1"],
    ),
    "broken YAML": (study("base:\n", "base: {\n"), [STUDY, "is not valid YAML"]),
    "too few images": (
        study("train_size: 60", "train_size: 6000"),
        [STUDY, "labels.train_size", "6,030 images are asked for", "has 600", "Choose fewer"],
    ),
    "missing raw data": (use_mnist, ["mnist", "not found under", "GENGAP_DATA_ROOT", "train-images-idx3-ubyte"]),
    "truncated raw data": (cut_mnist_short, ["train-images-idx3-ubyte", "cut short", "md5"]),
    "truncated prepared data": (cut_prepared_data_short, ["data/prepared/", "is damaged", "gengap fsck"]),
    "truncated measurements": (
        cut_measurements_short,
        ["results/tiny/measurements.h5", "is damaged", "gengap fsck"],
    ),
    "results of another version": (
        age_measurements,
        ["results/tiny/measurements.h5", "format 0", "reads format 1", "Move the folder away"],
    ),
    "unwritable results folder": (
        put_a_file_in_the_way,
        ["results/tiny/figures: a file is in the way", "Move it away"],
    ),
}


# `make test` has one mistake of a study's keys here, the others in tests/check, without the command line.
KEYS = set(list(CASES)[1 : list(CASES).index("broken YAML")]) - {"unknown study", "unknown device"}
LEFT_OUT = KEYS | {"truncated raw data", "truncated prepared data", "results of another version", "too few images"}


@pytest.mark.parametrize(
    ("mistake", "words"),
    [pytest.param(*case, id=name, marks=[pytest.mark.thorough] * (name in LEFT_OUT)) for name, case in CASES.items()],
)
def test_one_clear_message(workspace, mistake, words):
    mistake(workspace)
    before = workspace.results()
    status, output = workspace.run()
    assert status != 0, output
    assert "Traceback" not in output, output
    assert not [word for word in words if word not in output], output
    assert workspace.results() == before
