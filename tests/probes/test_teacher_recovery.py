"""Means over layers of what `node_correlation` measures, and a student that contains its teacher."""

import dataclasses
import math

import pytest
import torch
from subjects import by_name, subject

from gengap import models
from gengap.engine import stack
from gengap.probes import node_correlation, teacher_recovery
from gengap.probes.context import Teacher
from gengap.studies.settings import Model

SETTINGS = [
    {"model": {"name": "mlp", "width": 12, "depth": 2}},
    {"model": {"name": "mlp", "width": 7, "depth": 3}},
    {"model": {"name": "song", "width": 6, "head": "hidden"}},
]


def taught(settings, width=4, **options):
    """A subject after training, whose teacher is a random network of its kind."""
    torch.manual_seed(0)
    made = subject({"name": "teacher_recovery", **options}, settings, seeds=(0, 3), epochs=(1.0,), n_train=60)
    model = Model.model_validate({**settings["model"], "width": width})
    network = models.build(model, made.train_images.shape[1:], 1).double()
    state = {name: value[None] for name, value in network.state_dict().items() if value.is_floating_point()}
    saved = {0.0: made.start, 1.0: made.saved(1.0), math.inf: made.saved(1.0)}
    teacher = Teacher(stack.architecture(network), state)
    return dataclasses.replace(made, teacher=teacher, saved=saved.__getitem__)


@pytest.mark.parametrize("settings", SETTINGS, ids=["mlp", "deeper mlp", "song"])
def test_every_number_is_the_mean_over_layers(settings):
    made = taught(settings)
    found = by_name(teacher_recovery.measure(made))
    layers = by_name(node_correlation.measure(made))
    means = {
        quantity: torch.stack([values for (name, _), values in layers.items() if name == quantity]).mean(dim=0)
        for quantity in ("best_node_correlation", "best_node_correlation_by_chance", "winner_start_rank")
    }
    assert {layer for _, layer in found} == {""}
    assert found["mean_node_correlation", ""].tolist() == means["best_node_correlation"].tolist()
    assert found["mean_winner_start_rank", ""].tolist() == means["winner_start_rank"].tolist()
    beyond = means["best_node_correlation"] - means["best_node_correlation_by_chance"]
    assert found["mean_node_correlation_beyond_chance", ""].tolist() == beyond.tolist()


def test_a_student_that_is_its_teacher_has_correlation_1_and_chance_less():
    made = taught(SETTINGS[2], width=6)
    state = {**made.state, **{name: value.expand_as(made.state[name]) for name, value in made.teacher.state.items()}}
    found = by_name(teacher_recovery.measure(dataclasses.replace(made, state=state)))
    assert found["mean_node_correlation", ""].tolist() == pytest.approx([1, 1], abs=1e-9)
    assert all(0 < value < 1 for value in found["mean_node_correlation_beyond_chance", ""].tolist())


def test_without_a_teacher_it_says_so():
    made = dataclasses.replace(taught(SETTINGS[0]), teacher=None)
    with pytest.raises(ValueError, match="no teacher to compare with"):
        teacher_recovery.measure(made)
