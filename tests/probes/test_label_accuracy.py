"""Student and teacher on the labels, against networks whose answers are known."""

import dataclasses

import pytest
import torch
from subjects import by_name, subject

from gengap import models
from gengap.engine import stack
from gengap.errors import UserError
from gengap.probes import label_accuracy
from gengap.probes.context import Teacher
from gengap.studies.settings import Model

SHAPE, N_OUTPUTS = (1, 2, 2), 3


def made():
    """Two students and a teacher that puts every image into class 2."""
    students = subject(
        {"name": "label_accuracy"}, {"model": {"name": "mlp", "width": 5}}, n_classes=N_OUTPUTS, shape=SHAPE
    )
    arch = stack.architecture(models.build(Model(name="mlp", width=3), SHAPE, N_OUTPUTS))
    state = {name: torch.zeros(1, *v.shape, dtype=torch.float64) for name, v in arch.training.named_parameters()}
    state["output.bias"][0, 2] = 1.0
    return dataclasses.replace(students, teacher=Teacher(arch, state))


def test_they_are_shares_of_right_answers():
    context = made()
    outputs = torch.stack([_outputs(context, place) for place in range(len(context.cells))])
    labels = outputs[0].argmax(dim=1)  # of which the first student gets all
    found = by_name(label_accuracy.measure(dataclasses.replace(context, test_labels=labels)))
    expected = (outputs.argmax(dim=2) == labels).double().mean(dim=1)
    assert found["student_label_accuracy", ""].tolist() == pytest.approx(expected.tolist(), abs=1e-12)
    assert found["student_label_accuracy", ""][0] == 1
    share = float((labels == 2).double().mean())
    assert found["teacher_label_accuracy", ""].tolist() == pytest.approx([share] * len(context.cells), abs=1e-12)


def test_signs_are_two_classes():
    """A network of one output answers by its sign, to labels of -1 and +1."""
    students = subject({"name": "label_accuracy"}, {"model": {"name": "mlp", "width": 5}}, n_classes=1, shape=SHAPE)
    arch = stack.architecture(models.build(Model(name="mlp", width=3), SHAPE, 1))
    state = {name: torch.zeros(1, *v.shape, dtype=torch.float64) for name, v in arch.training.named_parameters()}
    state["output.bias"][0] = -1.0
    labels = torch.where(torch.arange(len(students.test_images)) % 3 == 0, 1, -1)
    found = by_name(
        label_accuracy.measure(dataclasses.replace(students, teacher=Teacher(arch, state), test_labels=labels))
    )
    assert found["teacher_label_accuracy", ""][0].item() == pytest.approx(float((labels < 0).double().mean()))


def test_without_labels_or_teacher_it_is_refused():
    labels = torch.zeros(len(made().test_images), dtype=torch.int64)
    for lacking in ({"test_labels": None}, {"teacher": None, "test_labels": labels}):
        with pytest.raises(UserError, match=r"Set labels\.name to trained_teacher"):
            label_accuracy.measure(dataclasses.replace(made(), **lacking))


def _outputs(context, place):
    """What one student says of the test images, by its weights."""
    x = context.test_images.flatten(1)
    for name in ("linear1", "linear2"):
        x = (x @ context.state[f"{name}.weight"][place].T + context.state[f"{name}.bias"][place]).clamp(min=0)
    return x @ context.state["output.weight"][place].T + context.state["output.bias"][place]
