"""A user's own parts, from `plugins/` and by import path: they run, and an edit makes again what they made."""

import pytest

pytestmark = pytest.mark.thorough
STUDY = """\
title: Own parts
base:
  dataset: {name: gaussian, image_size: 8, n_train: 400, n_test: 200}
  labels: {name: teacher, train_size: 60, test_size: 30, minority_share: 0.2}
  model: {width: 2}
  training: {batch_size: 20, epochs: 1, snapshots: [0, 1]}
grid:
  model: [song, plain]
  schedule: [constant, my_package.falling]
  schedule.rest: [0.5]
probes: [performance, my_package.largest]
figures: [{name: largest, first: 3}]
"""
PLAIN = '''\
"""A network of a hidden layer."""

from plugins.common import hidden

PART = {"summary": "One hidden layer."}


def build(settings, image_shape, n_outputs):
    return hidden(image_shape, settings.width, n_outputs)
'''
COMMON = '''\
"""What models share."""

import math

from torch import nn


def hidden(image_shape, width, n_outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(image_shape), width), nn.ReLU(), nn.Linear(width, n_outputs))
'''
FALLING = '''\
"""A schedule with an option of its own."""

from gengap.training.schedules import Decision

PART = {
    "summary": "Falls at once.",
    "options": {"rest": {"type": "float", "default": 0.1, "gt": 0, "meaning": "What is left of the rate."}},
}


def decide(settings, epochs, done, accuracies):
    return Decision(settings.rest)
'''
LARGEST = '''\
"""A probe."""

import torch

from gengap.probes.context import Measurement

PART = {
    "summary": "Largest weight.",
    "quantities": {"largest_weight": {"label": "largest weight", "meaning": "Largest absolute weight."}},
}


def measure(context):
    parameters = torch.cat([context.state[name].flatten(1) for name in context.arch.parameters], dim=1)
    return [Measurement("largest_weight", parameters.abs().amax(dim=1).double())]
'''
FIGURE = '''\
"""A figure of it."""

from matplotlib.figure import Figure

PART = {
    "summary": "Largest weights.",
    "options": {"first": {"type": "int", "default": None, "ge": 1, "meaning": "Networks shown; null: all."}},
    "caption": "**Largest weights.** One bar per network.\\n",
}


def data(evidence):
    return evidence.cells[["cell", "largest_weight"]].head(evidence.options["first"])


def plot(data, evidence):
    figure = Figure()
    figure.subplots().bar(range(len(data)), data["largest_weight"])
    return figure
'''
FILES = {
    "plugins/models/plain.py": PLAIN,
    "plugins/common.py": COMMON,
    "plugins/evidence/figures/largest.py": FIGURE,
    "my_package/__init__.py": "",
    "my_package/falling.py": FALLING,
    "my_package/largest.py": LARGEST,
}


@pytest.fixture(scope="module")
def finished(make_workspace, tmp_path_factory):
    """A copy of the project with a user's own parts, whose study has run. Not to be changed: take `own`."""
    made = make_workspace(tmp_path_factory.mktemp("plugins") / "project", "own", STUDY)
    for path, text in FILES.items():
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_text(text)
    status, output = made.run()
    assert status == 0, output
    assert made.planned() == set()
    return made


@pytest.fixture
def own(finished, tmp_path):
    return finished.copy(tmp_path / "copy")


def planned(workspace):
    """What would be trained, measured and drawn: the packs by job."""
    jobs = {}
    for message in workspace.planned():
        word, _, rest = message.partition(" ")
        if word in ("Preparing", "Labelling", "Training", "Measuring", "Drawing"):
            jobs.setdefault(word, set()).add(rest)
    return jobs


def packs(jobs):
    return {next(model for model in ("song", "plain") if f"model={model}" in job) for job in jobs}


def test_its_measurements_reach_the_figure(finished):
    lines = (finished / "results/own/figures/largest.csv").read_text().splitlines()
    assert len(lines) == 1 + 3  # of its four cells, as its option says
    assert (finished / ".gengap/captions/largest.rst").read_text().startswith("**Largest weights.**")


@pytest.mark.parametrize(("path", "text"), [("plugins/models/plain.py", PLAIN), ("plugins/common.py", COMMON)])
def test_an_edited_model_trains_exactly_its_cells_again(own, path, text):
    (own / path).write_text(text + "# edited\n")
    found = planned(own)
    assert packs(found["Training"]) == {"plain"}
    assert packs(found["Measuring"]) == {"plain"}
    assert not {"Preparing", "Labelling"} & set(found)


def test_an_edited_schedule_trains_exactly_its_cells_again(own):
    own.edit("my_package/falling.py", "Decision(settings.rest)", "Decision(settings.rest / 2)")
    weights = [str(path.relative_to(own.folder)) for path in own.folder.glob("results/own/packs/*/weights.h5")]
    status, output = own.run(*weights)
    assert status == 0, output
    assert output.count("1 of 2 cells are to be trained") == 2
    assert own.planned(*weights) == set()


def test_an_edited_probe_measures_exactly_itself_again(own):
    own.edit("my_package/largest.py", ".abs()", ".square()")
    found = planned(own)
    assert "Training" not in found
    assert {job.split(" ")[0] for job in found["Measuring"]} == {"my_package.largest"}
    assert packs(found["Measuring"]) == {"song", "plain"}


def test_an_option_of_the_figure_reaches_it_and_another_value_redraws_it_only(own):
    assert len((own / "results/own/figures/largest.csv").read_text().splitlines()) == 1 + 3
    own.edit("config/studies/own.yaml", "first: 3", "first: 2")
    assert planned(own) == {"Drawing": {"largest of own"}}


def test_an_edited_figure_is_drawn_again_alone(own):
    own.edit("plugins/evidence/figures/largest.py", "range(len(data))", "list(range(len(data)))")
    assert own.planned() == {"Drawing largest of own"}


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        (
            "plugins/models/odd.py",
            'PART = {"summry": "Odd."}\n',
            "odd.py: PART: 'summry' is no key of a model. Allowed",
        ),
        ("plugins/common.py", "def hidden(:\n", "plugins/common.py: cannot be read as Python: invalid syntax"),
        (
            "plugins/probes/twice.py",
            LARGEST.replace("largest_weight", "path_norm"),
            "twice.py: PART: quantities.path_norm: is declared in ",
        ),
    ],
)
def test_a_faulty_part_is_one_message(own, path, text, words):
    """What else can be wrong with one is in tests/test_headers.py."""
    (own / path).parent.mkdir(exist_ok=True)
    (own / path).write_text(text)
    status, output = own.run("--dry-run")
    assert status != 0
    assert words in output
    assert "Traceback" not in output
