"""A few classes of a dataset: which images, which labels, and what is said of wrong classes."""

import numpy as np
import pytest
import torch
import yaml

from gengap import losses
from gengap.errors import UserError
from gengap.labels import label, read
from gengap.labels.pool import read_pool
from gengap.studies.packing import labels_key
from gengap.studies.settings import Cell, Labels, Loss
from gengap.studies.study import load_study


def subset(*classes, **options):
    return Labels.model_validate({"name": "class_subset", "classes": list(classes), **options})


def test_all_images_of_the_classes_in_stored_order(digits, tmp_path):
    label(subset("3", "8"), digits, tmp_path / "l.h5")
    data, pool = read(digits, tmp_path / "l.h5"), read_pool(digits)
    for start, stop, images, labels in (
        (0, 1442, data.train_images, data.train_labels),
        (1442, 1797, data.test_images, data.test_labels),
    ):
        own = pool.labels[start:stop]
        assert torch.equal(images, pool.images[start:stop][torch.from_numpy((own == 3) | (own == 8))])
        assert np.array_equal(labels.numpy(), (own[(own == 3) | (own == 8)] == 8).astype(np.int64))
    assert data.n_classes == 2


def test_the_order_of_the_classes_is_that_of_the_labels_and_numbers_stand_for_names(digits, tmp_path):
    label(subset(8, "3", 5), digits, tmp_path / "l.h5")
    data, pool = read(digits, tmp_path / "l.h5"), read_pool(digits)
    own = pool.labels[:1442]
    own = own[np.isin(own, [3, 5, 8])]
    assert [{8: 0, 3: 1, 5: 2}[old] for old in own.tolist()] == data.train_labels.tolist()
    assert data.n_classes == 3


@pytest.mark.parametrize("loss", ["smooth_hinge", "cross_entropy", "squared"])
def test_two_classes_are_a_binary_task_for_one_output(digits, tmp_path, loss):
    label(subset("3", "8"), digits, tmp_path / "l.h5")
    data = read(digits, tmp_path / "l.h5")
    assert losses.n_outputs(Loss(name=loss), data.n_classes) == 1
    targets = data.targets(Loss(name=loss))[0]
    assert torch.equal(targets, 2 * data.train_labels - 1)


def test_fewer_images_are_a_mixed_and_nested_selection(digits, tmp_path):
    chosen = {}
    for size in (50, 100):
        label(subset("3", "8", train_size=size, test_size=20), digits, tmp_path / "l.h5")
        data = read(digits, tmp_path / "l.h5")
        chosen[size] = {image.numpy().tobytes() for image in data.train_images}
        assert (len(data.train_labels), len(data.test_labels)) == (size, 20)
        assert 0.3 < data.train_labels.double().mean() < 0.7
    assert chosen[50] < chosen[100]


def test_wrong_classes_are_named(digits, gaussian, tmp_path):
    output = tmp_path / "l.h5"
    with pytest.raises(UserError, match=r"'cat' is no class of .*names or numbers from: 0 \(0\), 1 \(1\), .*, 9 \(9\)"):
        label(subset("cat", "3"), digits, output)
    with pytest.raises(UserError, match="10 is no class of"):
        label(subset(10, 3), digits, output)
    with pytest.raises(UserError, match="3 is given twice"):
        label(subset("3", 3), digits, output)
    with pytest.raises(UserError, match=r"'class_subset' needs it\. Give at least two of: 0"):
        label(Labels(name="class_subset"), digits, output)
    with pytest.raises(UserError, match="came without labels"):
        label(subset(0, 1), gaussian, output)
    with pytest.raises(UserError, match=r"labels\.train_size: 999 images are asked for.*Choose from 1 to 28\d"):
        label(subset(3, 8, train_size=999), digits, output)


def study(folder, pairs):
    content = {"title": "t", "base": {"dataset": "digits", "labels": {"name": "class_subset", "train_size": 50}}}
    path = folder / "pairs.yaml"
    path.write_text(yaml.safe_dump(content | {"grid": {"labels.classes": pairs, "seed": [0, 1]}}))
    return load_study(path)


def test_pairs_of_classes_are_an_axis(tmp_path):
    cells = study(tmp_path, [["3", "8"], [1, 7]]).cells
    assert list(cells) == [f"classes={pair},seed={seed}" for pair in ("3+8", "1+7") for seed in (0, 1)]
    cell = cells["classes=1+7,seed=1"]
    assert cell.labels.classes == (1, 7)
    assert Cell.from_identity(cell.identity()) == cell
    assert labels_key(cell) == "class_subset_train_size=50_classes=1+7"


def test_names_that_cannot_stand_in_a_path_and_single_classes_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"'T-shirt/top' is not allowed: .*'/' cannot stand in the name of a cell"):
        study(tmp_path, [["T-shirt/top", "Trouser"]])
    with pytest.raises(UserError, match="a list of at least 2"):
        study(tmp_path, [["3"]])


@pytest.mark.data
@pytest.mark.thorough
def test_the_two_classes_of_appendix_b_are_balanced(cifar8, tmp_path):
    """Song (2019), appendix B: 10,000 training and 2,000 test images are all that CIFAR-10 has of two classes."""
    label(subset("airplane", "automobile", train_size=10000, test_size=2000), cifar8, tmp_path / "l.h5")
    data = read(cifar8, tmp_path / "l.h5")
    assert (int(data.train_labels.sum()), int(data.test_labels.sum())) == (5000, 1000)
