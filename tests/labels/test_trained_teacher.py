"""A teacher that is trained on the dataset's own labels, against a plain loop."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from gengap import models
from gengap.errors import UserError
from gengap.labels import label, read, trained_teacher
from gengap.labels.pool import read_pool
from gengap.studies.settings import Labels, Loss

TEACHER = Labels.model_validate(
    {"name": "trained_teacher", "teacher_width": 16, "teacher_depth": 1, "teacher_epochs": 8, "train_size": 300}
)
DISTILLATION = Loss(name="distillation")


def taught(digits, tmp_path, **settings):
    label(TEACHER.model_copy(update=settings), digits, tmp_path / "labelled.h5")
    return read(digits, tmp_path / "labelled.h5")


@pytest.mark.parametrize("norm", ["none", "before", "after"])
def test_labels_stay_and_outputs_are_those_of_the_stored_teacher(digits, tmp_path, norm):
    data = taught(digits, tmp_path, teacher_norm=norm)
    label(Labels(train_size=300), digits, tmp_path / "original.h5")
    original = read(digits, tmp_path / "original.h5")
    assert torch.equal(data.train_labels, original.train_labels)
    assert torch.equal(data.test_images, original.test_images)
    network = models.build(data.teacher.model, (1, 8, 8), 10).double().eval()
    network.load_state_dict(dict(data.teacher.state), strict=False)  # the counts of batches are not stored
    with torch.no_grad():
        outputs = network(data.test_images.double())
    torch.testing.assert_close(data.teacher.test_outputs, outputs.float())
    targets, _ = data.targets(DISTILLATION)
    assert torch.equal(targets, data.teacher.train_outputs)
    accuracy = (outputs.argmax(dim=1) == data.test_labels).double().mean()
    assert accuracy > 0.7, "a teacher has learned"


def test_the_same_seed_is_the_same_teacher_and_another_one_is_not(digits, tmp_path):
    first, again, other = (taught(digits, tmp_path, teacher_seed=seed).teacher.state for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_a_step_is_that_of_sgd_with_weight_decay():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    images = torch.randn(5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0, 1])
    weight, bias = (parameter.detach().clone().requires_grad_() for parameter in network[1].parameters())
    settings = TEACHER.model_copy(update={"teacher_epochs": 1, "teacher_lr": 0.2, "teacher_weight_decay": 0.1})
    trained_teacher.fit(network, images, labels, settings)
    gradients = torch.autograd.grad(cross_entropy(images.flatten(1) @ weight.T + bias, labels), (weight, bias))
    for after, before, gradient in zip(network[1].parameters(), (weight, bias), gradients, strict=True):
        torch.testing.assert_close(after, before - 0.2 * (gradient + 0.1 * before))


def test_a_last_batch_of_one_image_is_left_out():
    images = torch.randn(trained_teacher.BATCH_SIZE + 1, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    labels = (images.sum(dim=(1, 2, 3)) > 0).long()
    trained_teacher.fit(network, images, labels, TEACHER.model_copy(update={"teacher_epochs": 3}))
    assert network[1].num_batches_tracked == 3


@pytest.mark.parametrize("lr", [1e6, 1e20])
def test_a_teacher_that_diverges_is_one_sentence(digits, lr):
    settings = TEACHER.model_copy(update={"teacher_lr": lr, "teacher_norm": "none", "teacher_weight_decay": 1.0})
    with pytest.raises(UserError, match=r"labels\.teacher_lr: .* makes the teacher diverge. Choose a smaller one."):
        trained_teacher.select(settings, read_pool(digits))


def test_images_without_labels_are_refused(gaussian):
    with pytest.raises(UserError, match="came without labels"):
        trained_teacher.select(TEACHER, read_pool(gaussian))
