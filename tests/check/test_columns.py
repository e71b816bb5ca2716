"""Names in a header of one's own do not enter the tables, files and rules that gengap names."""

import pytest

from gengap import quantities, registry
from gengap.errors import UserError

OPTION = 'PART = {"summary": "s", "options": {"NAME": {"type": "int", "default": 1, "meaning": "m"}},\n}\n'
QUANTITY = 'PART = {"summary": "s", "quantities": {"NAME": {"label": "l", "meaning": "m"}},\n}\n'
BARE = 'PART = {"summary": "s",\n}\n'
SCHEDULES, PROBES = "training/schedules", "probes"


@pytest.fixture(autouse=True)
def _read_again():
    """The parts of this project alone."""
    tables = dict(registry.REGISTRY._tables)
    registry.REGISTRY._tables.clear()
    quantities._joined.cache_clear()
    yield
    registry.REGISTRY._tables.clear()
    registry.REGISTRY._tables.update(tables)
    quantities._joined.cache_clear()


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        (
            f"{SCHEDULES}/own.py",
            OPTION.replace("NAME", "status"),
            "options.status: is a column of every study's",
        ),
        (f"{SCHEDULES}/own.py", OPTION.replace("NAME", "epoch"), "options.epoch: is a column of every study's tables"),
        (f"{SCHEDULES}/own.py", OPTION.replace("NAME", "train_loss"), "options.train_loss: is the name of a quantity"),
        (f"{PROBES}/own.py", QUANTITY.replace("NAME", "pack"), "quantities.pack: is a column of every study's tables"),
        (f"{PROBES}/own.py", QUANTITY.replace("NAME", "width"), "quantities.width: is the name of a setting"),
        ("evidence/tables/verdicts.py", BARE, "gengap itself writes a table 'verdicts'"),
        ("evidence/figures/my-figure.py", BARE, "'my-figure' cannot be the name of a figure"),
        ("evidence/figures/a{b}.py", BARE, "'a{b}' cannot be the name of a figure"),
        (f"{PROBES}/class.py", BARE, "'class' cannot be the name of a probe"),
    ],
)
def test_a_name_that_is_taken_or_misread_is_refused(loaded, project, file, text, words):
    path = project / "plugins" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        loaded()
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"plugins/{file}: ")


def test_a_figure_that_needs_what_no_probe_measures_is_refused(loaded, project):
    path = project / "plugins/evidence/figures/own.py"
    path.parent.mkdir(parents=True)
    path.write_text('PART = {"summary": "s", "needs": ("train_error",)}\n')
    text = "title: t\nbase: {dataset: digits, model: mlp}\nprobes: [performance]\nfigures: [own]\n"
    with pytest.raises(UserError) as caught:
        loaded(text)
    said = str(caught.value)
    assert said.startswith("plugins/evidence/figures/own.py: PART: needs: no probe measures 'train_error'.")
    assert said.endswith("name those (train_accuracy).")
