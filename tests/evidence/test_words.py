"""What figures and tables call settings: the table, patterns, numbers, and the labels of a user's own parts."""

import pytest

from gengap import registry
from gengap.evidence import words
from gengap.registry.entry import Option


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("init", "he", "He init"),
        ("init", "balanced:geo", "balanced init (geo)"),
        ("model.batchnorm", "none", "without BatchNorm"),
        ("arm", "batch_128", "batch size 128"),
        ("arm", "my_own", "my own"),
        ("switch_epoch", "None", "no switch"),
        ("switch_epoch", None, "no switch"),
        ("image_size", 8, "8 × 8 pixels"),
        ("half_life", 3, "half life 3"),
        ("half_life", None, "no half life"),
    ],
)
def test_settings_are_said_in_words(name, value, said):
    assert words.setting(name, value) == said


def test_a_column_keeps_its_numbers_and_says_names_in_words():
    assert [words.value("width", own) for own in (4, "4.0")] == [4, "4.0"]
    assert words.value("dataset", "fashion_mnist") == "Fashion-MNIST"
    assert words.value("init", "my_rule") == "my rule"


def test_axes_and_quantities_have_one_name_each():
    assert words.axis("training.batch_size") == "batch size"
    assert words.axis("train_accuracy") == "train accuracy [%]"
    assert words.axis("half_life") == "half life"
    assert words.selected("width=4,init=balanced:geo") == "width 4, balanced init (geo)"


def test_a_part_and_its_option_bring_their_own_words(monkeypatch):
    half_life = Option(type="float", default=1.0, meaning="Of the rate.", label="half-life [epochs]")
    own = registry.REGISTRY["schedule"]["constant"].model_copy(
        update={"label": "halved learning rate", "options": {"half_life": half_life}}
    )
    monkeypatch.setitem(registry.REGISTRY["schedule"], "constant", own)
    assert words.setting("schedule", "constant") == "halved learning rate"
    assert words.axis("half_life") == "half-life [epochs]"


def test_every_registered_part_of_a_network_is_named_in_words():
    """A name with an underscore is a name of a file."""
    for kind in ("dataset", "init", "loss", "optimizer"):
        for name in registry.REGISTRY[kind]:
            assert "_" not in words.setting(kind, name)
