"""A hint names what was meant, or there is none."""

import pandas as pd
import pytest

from gengap.errors import nearest
from gengap.results import Results
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
        ("optimizer.learning_rate", ""),
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
    ],
)
def test_a_name_that_differs_in_its_numbers_is_no_slip(name, choices, meant):
    assert nearest(name, choices) == meant


def test_an_unknown_cell_is_answered_with_the_one_that_was_meant(tmp_path):
    cells = pd.DataFrame({"cell": CELLS, "share": [0.0, 0.4, 0.0], "pack": "p"})
    results = Results(tmp_path, {"axes": ["share"]}, cells)
    with pytest.raises(Exception, match=r"Did you mean 'width=4,share=0\.0,seed=1'\? The grid is: share in 0\.0, 0\.4"):
        results.network("width=4,share=0,seed=1")
