import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from stored import edited
from torch import Tensor, nn

from gengap import models
from gengap.datasets import prepare
from gengap.errors import UserError
from gengap.files import storage
from gengap.labels import digest, label, read, statistics, teacher
from gengap.labels.pool import read_pool
from gengap.studies.settings import Dataset, Labels, Loss, Model

TEACHER = Labels(name="teacher", train_size=800, test_size=300)
CALIBRATED = TEACHER.model_copy(update={"teacher_batchnorm": "calibrated", "minority_share": 0.05, "test_size": 200})


FIELDS = ("train_images", "train_labels", "test_images", "test_labels")


def network(state: Mapping[str, Tensor], head: str = "hidden") -> nn.Module:
    built = models.build(Model(name="song", width=4, head=head), (3, 8, 8), 1).double().eval()
    built.load_state_dict(state, strict=False)
    return built


def stored(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Tensor], dict, dict]:
    """Indices and labels, the teacher's weights, its facts, the file's attributes."""
    with storage.reading(path, "labelled") as file:
        arrays = {name: file[name][()] for name in file if name != "teacher"}
        weights = {name: torch.from_numpy(file["teacher"][name][()]) for name in file["teacher"]}
        return arrays, weights, dict(file["teacher"].attrs), dict(file.attrs)


@pytest.mark.parametrize("settings", [TEACHER, CALIBRATED], ids=["fresh", "calibrated"])
def test_labels_are_the_stored_teachers_signs_outside_the_margin(gaussian, tmp_path, settings):
    label(settings, gaussian, tmp_path / "l.h5")
    arrays, weights, facts, attrs = stored(tmp_path / "l.h5")
    pool = read_pool(gaussian)
    f = statistics.outputs(network(weights), pool.images).numpy()
    for split, size in (("train", settings.train_size), ("test", settings.test_size)):
        chosen, labels = arrays[f"{split}_indices"], arrays[f"{split}_labels"]
        assert len(chosen) == len(labels) == size
        assert labels.dtype == np.int64
        assert (labels * f[chosen] >= settings.margin).all()
    assert not set(arrays["train_indices"]) & set(arrays["test_indices"])
    assert facts["survivors"] == (np.abs(f) >= settings.margin).sum()
    assert attrs["n_classes"] == 2
    assert f"seed {facts['seed']}:" in json.loads(facts["tried"])[-1]


def test_fresh_teacher_is_standard_normal_with_its_median_at_zero(gaussian):
    pool = read_pool(gaussian)
    candidate = teacher.examine(TEACHER, pool.images, 0)
    assert np.median(candidate.outputs) == pytest.approx(0, abs=1e-9)
    assert sum(p.numel() for p in candidate.network.parameters()) == 721
    drawn = torch.cat(
        [p.detach().flatten() for name, p in candidate.network.named_parameters() if name != "output.bias"]
    )
    assert abs(drawn.mean()) < 4 / len(drawn) ** 0.5
    assert drawn.std().item() == pytest.approx(1, abs=4 / (2 * len(drawn)) ** 0.5)
    for layer in statistics.batchnorm_layers(candidate.network).values():
        assert not layer.running_mean.any()
        assert (layer.running_var == 1).all()


def test_calibrated_teacher_keeps_exactly_two_thirds(gaussian):
    pool = read_pool(gaussian)
    for seed in range(3):
        candidate = teacher.examine(CALIBRATED, pool.images, seed)
        assert len(candidate.survivors) == 1000
        assert np.quantile(np.abs(candidate.outputs), 1 / 3) == pytest.approx(CALIBRATED.margin, rel=0.02)


def test_calibration_equals_one_batch_with_all_images(gaussian, monkeypatch):
    """PyTorch's own training mode with momentum 1 on the whole pool; it keeps the unbiased variance."""
    monkeypatch.setattr(statistics, "CHUNK", 400)
    images = read_pool(gaussian).images
    ours, reference = (teacher.examine(TEACHER, images, 0).network for _ in range(2))
    statistics.calibrate(ours, images)
    moments = statistics.input_moments(ours, images, statistics.batchnorm_layers(ours).values())
    for layer in statistics.batchnorm_layers(reference).values():
        layer.momentum = 1.0
    with torch.no_grad():
        outputs = reference.train()(images.double()).squeeze(1)
    assert statistics.outputs(ours, images) == pytest.approx(outputs.numpy(), rel=1e-9, abs=1e-9)
    reference_layers = statistics.batchnorm_layers(reference)
    for name, layer in statistics.batchnorm_layers(ours).items():
        count = moments[layer].count
        assert layer.running_mean.numpy() == pytest.approx(reference_layers[name].running_mean.numpy(), abs=1e-9)
        unbiased = layer.running_var.numpy() * count / (count - 1)
        assert unbiased == pytest.approx(reference_layers[name].running_var.numpy(), rel=1e-9)


def check_zero_loss(prepared: Path, labelled: Path, n_parameters: int = 721) -> None:
    """The student that `student_of` makes fits every kept sample, train and test, with a margin."""
    data = read(prepared, labelled)
    weights = data.teacher.state
    images = torch.cat([data.train_images, data.test_images])
    labels = torch.cat([data.train_labels, data.test_labels])
    head = data.teacher.model.head
    student = network(teacher.student_of(weights, images), head)
    statistics_of_kept = statistics.input_moments(student, images, statistics.batchnorm_layers(student).values())
    for layer in statistics.batchnorm_layers(student).values():
        # The running statistics are the exact ones of the student's own activations, as it sees them.
        assert layer.running_mean.numpy() == pytest.approx(statistics_of_kept[layer].mean.numpy(), rel=1e-9, abs=1e-9)
        assert layer.running_var.numpy() == pytest.approx(statistics_of_kept[layer].var.numpy(), rel=1e-9)
    assert sum(p.numel() for p in student.parameters()) == n_parameters
    f = statistics.outputs(student, images)
    assert f.numpy() == pytest.approx(statistics.outputs(network(weights, head), images).numpy(), rel=1e-8, abs=1e-8)
    loss = (1 - labels * f).clamp(min=0).square().mean()
    assert loss.item() == 0.0
    assert torch.equal(f.sign().long(), labels)


@pytest.mark.parametrize("settings", [TEACHER, CALIBRATED], ids=["fresh", "calibrated"])
def test_a_student_with_zero_loss_exists(gaussian, tmp_path, settings):
    label(settings, gaussian, tmp_path / "l.h5")
    check_zero_loss(gaussian, tmp_path / "l.h5")


@pytest.mark.data
@pytest.mark.thorough
def test_a_student_with_zero_loss_exists_on_cifar10(cifar8, tmp_path):
    """Song's data: all 40,000 samples (appendix A)."""
    settings = Labels(name="teacher", train_size=30_000, test_size=10_000)
    label(settings, cifar8, tmp_path / "l.h5")
    arrays, _, facts, attrs = stored(tmp_path / "l.h5")
    assert len({*arrays["train_indices"], *arrays["test_indices"]}) == 40_000
    assert facts["survivors"] >= 40_000
    for shares in json.loads(attrs["class_balance"]).values():
        assert 0.45 <= min(shares.values()) <= 0.5
    check_zero_loss(cifar8, tmp_path / "l.h5")


@pytest.mark.parametrize("head", ["hidden", "linear"])
def test_the_teacher_is_read_back_and_says_what_is_stored(gaussian, tmp_path, head):
    label(TEACHER.model_copy(update={"teacher_head": head}), gaussian, tmp_path / "l.h5")
    data = read(gaussian, tmp_path / "l.h5")
    again = models.build(data.teacher.model, (3, 8, 8), data.teacher.n_outputs).double().eval()
    again.load_state_dict(dict(data.teacher.state), strict=False)
    assert data.teacher.model == Model(name="song", width=4, head=head)
    assert ("hidden.linear.weight" in data.teacher.state) == (head == "hidden")
    for split in ("train", "test"):
        stored_outputs = getattr(data.teacher, f"{split}_outputs")
        images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
        assert stored_outputs.dtype == torch.float32
        torch.testing.assert_close(stored_outputs[:, 0], statistics.outputs(again, images).float())
        assert torch.equal(stored_outputs[:, 0].sign().long(), labels)
        assert stored_outputs.shape == (len(images), 1)
    check_zero_loss(gaussian, tmp_path / "l.h5", n_parameters=721 if head == "hidden" else 657)


def test_outputs_are_targets_of_losses_that_need_them(gaussian, tmp_path):
    label(TEACHER, gaussian, tmp_path / "l.h5")
    data = read(gaussian, tmp_path / "l.h5")
    train, test = data.targets(Loss(name="distillation"))
    assert torch.equal(train, data.teacher.train_outputs)
    assert torch.equal(test, data.teacher.test_outputs)
    for name in ("smooth_hinge", "cross_entropy", "squared"):
        train, test = data.targets(Loss(name=name))
        assert torch.equal(train, data.train_labels)
        assert torch.equal(test, data.test_labels)


def test_the_digest_knows_the_outputs_only_where_they_are_used(gaussian, tmp_path):
    label(TEACHER, gaussian, tmp_path / "l.h5")
    data = read(gaussian, tmp_path / "l.h5")
    images_and_labels = digest(*(getattr(data, name).numpy() for name in FIELDS))
    rescaled = dataclasses.replace(data.teacher, train_outputs=2 * data.teacher.train_outputs)
    other = dataclasses.replace(data, teacher=rescaled)
    assert data.digest_for(Loss()) == other.digest_for(Loss()) == data.digest == images_and_labels
    distillation = Loss(name="distillation")
    assert len({data.digest, data.digest_for(distillation), other.digest_for(distillation)}) == 3


def test_a_file_from_before_outputs_were_kept_still_serves_other_losses(gaussian, tmp_path):
    label(TEACHER, gaussian, tmp_path / "l.h5")
    before = read(gaussian, tmp_path / "l.h5")
    with edited(tmp_path / "l.h5") as file:
        del file["train_outputs"], file["test_outputs"], file["teacher"].attrs["model"]
    data = read(gaussian, tmp_path / "l.h5")
    assert data.digest_for(Loss()) == before.digest_for(Loss())
    assert torch.equal(data.targets(Loss())[0], before.targets(Loss())[0])
    with pytest.raises(UserError, match=r"loss\.name: 'distillation' needs the outputs of a teacher.*remove it"):
        data.targets(Loss(name="distillation"))


def test_outputs_that_were_changed_are_noticed(gaussian, tmp_path):
    label(TEACHER, gaussian, tmp_path / "l.h5")
    with edited(tmp_path / "l.h5") as file:
        file["test_outputs"][0] += 1
    with pytest.raises(UserError, match="the teacher's outputs were changed"):
        read(gaussian, tmp_path / "l.h5")


def test_sizes_left_open(gaussian, tmp_path):
    sizes = {}
    for train_size, test_size in ((None, None), (700, None), (None, 300)):
        label(Labels(name="teacher", train_size=train_size, test_size=test_size), gaussian, tmp_path / "l.h5")
        arrays, _, facts, _ = stored(tmp_path / "l.h5")
        sizes[train_size, test_size] = (len(arrays["train_indices"]), len(arrays["test_indices"]))
    survivors = facts["survivors"]
    assert sizes[None, None] == (round(survivors * 2 / 3), survivors - round(survivors * 2 / 3))
    assert sizes[700, None] == (700, survivors - 700)
    assert sizes[None, 300] == (survivors - 300, 300)


def test_teacher_and_order_follow_the_seed(gaussian, tmp_path):
    for name, settings in (
        ("a", TEACHER),
        ("b", TEACHER),
        ("c", TEACHER.model_copy(update={"teacher_seed": 1})),
    ):
        label(settings, gaussian, tmp_path / name)
    a, b, c = (read(gaussian, tmp_path / name).digest for name in "abc")
    assert a == b != c


def test_no_teacher_accepted(gaussian, tmp_path):
    settings = Labels(name="teacher", train_size=1400, test_size=100, margin=5.0, teacher_seed=2, teacher_tries=3)
    counts = [len(teacher.examine(settings, read_pool(gaussian).images, seed).survivors) for seed in (2, 3, 4)]
    with pytest.raises(UserError) as caught:
        label(settings, gaussian, tmp_path / "l.h5")
    message = str(caught.value)
    assert "Needed: 1,500 survivors with |output| >= 5" in message
    assert "Tried seeds 2 to 4; the best was seed" in message
    for seed, count in zip((2, 3, 4), counts, strict=True):
        assert f"seed {seed}: {count:,} survivors, minority share" in message
    assert "labels.train_size" in message
    assert not (tmp_path / "l.h5").exists()


def test_one_sided_teachers_are_rejected(gaussian, tmp_path):
    """Without the median's shift most teachers are lopsided, and the share asked for says so."""
    settings = CALIBRATED.model_copy(update={"minority_share": 0.5, "teacher_tries": 2})
    with pytest.raises(UserError, match=r"minority share of at least 0\.5\. Tried seeds 0 to 1"):
        label(settings, gaussian, tmp_path / "l.h5")


def test_a_stream_has_nothing_to_label(tmp_path):
    prepare(Dataset(name="gaussian", n_test=50, stream=True), tmp_path, tmp_path / "p.h5")
    with pytest.raises(UserError, match=r"drops images within its margin.* Set dataset\.stream to false"):
        label(TEACHER, tmp_path / "p.h5", tmp_path / "l.h5")


def test_calibrated_needs_a_margin(gaussian, tmp_path):
    with pytest.raises(UserError, match=r"labels\.margin: 0 leaves nothing"):
        label(CALIBRATED.model_copy(update={"margin": 0.0}), gaussian, tmp_path / "l.h5")
