"""The sign of a small random network; samples inside the margin are dropped (Song 2019, chapter 3, appendix A).

A student with the teacher's own architecture, as wide or wider, can then fit every label with a margin: its loss can
be exactly 0, and `student_of` gives the weights. The thesis says "standard normal initialisation" and no more, so two
readings are offered:

* ``fresh``: every parameter N(0, 1), BatchNorm with mean 0 and variance 1, output shifted by its median over the pool.
  Without the shift, most teachers put nearly all images in one class.
* ``calibrated``: BatchNorm with the statistics of the pool, output scaled so that two thirds pass the margin.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gengap import inits, models
from gengap.errors import UserError
from gengap.labels import statistics
from gengap.labels.pool import Pool, Selection, Teacher
from gengap.logs import log
from gengap.seeding import INIT, ORDER, stream, torch_seed
from gengap.studies.settings import Init, Labels, Model

PART = {
    "summary": ("The sign of a small random network; samples inside the margin are dropped (Song 2019, appendix A)."),
    "reads": (
        "teacher_width",
        "teacher_head",
        "teacher_seed",
        "teacher_tries",
        "teacher_batchnorm",
        "margin",
        "minority_share",
    ),
    "options": {
        "teacher_downsample": {
            "choices": ("both", "first", "second", "pool"),
            "default": "both",
            "meaning": "Where the teacher halves the image, as the students' `downsample`.",
        },
    },
    "teacher": True,
}


@dataclass(frozen=True)
class Candidate:
    """One teacher and what it does to the pool."""

    seed: int
    network: nn.Module
    outputs: NDArray[np.float64]
    survivors: NDArray[np.int64]
    minority_share: float

    def __str__(self) -> str:
        return f"seed {self.seed}: {len(self.survivors):,} survivors, minority share {self.minority_share:.3f}"


def select(settings: Labels, pool: Pool) -> Selection:
    """Label the pool with the first teacher that leaves enough samples in two balanced classes.

    The survivors are shuffled by the teacher's seed: the first `train_size` are the train set, the next `test_size`
    the test set. If both are null, all survivors are split in the dataset's proportion; if one is, it gets the rest.

    Raises:
        UserError: If no teacher seed is accepted.
    """
    if pool.stream:
        raise UserError(
            f"labels.name: 'teacher' drops images within its margin, and those of {pool.path} are streamed, so that "
            "none can be dropped. Set dataset.stream to false, or labels.name to distinct_teacher."
        )
    if settings.teacher_batchnorm == "calibrated" and settings.margin == 0:
        raise UserError("labels.margin: 0 leaves nothing to scale a calibrated teacher to. Choose a margin above 0.")
    needed = (settings.train_size or 1) + (settings.test_size or 1)
    tried: list[Candidate] = []
    for seed in range(settings.teacher_seed, settings.teacher_seed + settings.teacher_tries):
        candidate = examine(settings, pool.images, seed)
        tried.append(candidate)
        accepted = len(candidate.survivors) >= needed and candidate.minority_share >= settings.minority_share
        log.info("teacher %s: %s", candidate, "accepted" if accepted else "rejected")
        if accepted:
            return _split(settings, pool, candidate, tried)
    raise _none_accepted(settings, pool, needed, tried)


def examine(settings: Labels, images: Tensor, seed: int) -> Candidate:
    """Draw the teacher of one seed, and see which of the images ``[N, C, H, W]`` pass its margin."""
    channels, height, width = images.shape[1:]
    network = teacher_network(settings, (channels, height, width))
    inits.initialise(network, Init(name="normal"), torch.Generator().manual_seed(torch_seed(seed, INIT)))
    network = network.double().eval()
    adjust = _shift if settings.teacher_batchnorm == "fresh" else _calibrate
    adjust(network, images, settings.margin)
    # Once more from the weights as they are stored, so that anyone who loads them finds the same labels.
    f = statistics.outputs(network, images).numpy()
    survivors = np.flatnonzero((np.abs(f) >= settings.margin) & (f != 0))
    positive = float((f[survivors] > 0).mean()) if len(survivors) else 0.0
    return Candidate(seed, network, f, survivors, min(positive, 1 - positive))


def student_of(teacher: Mapping[str, Tensor], images: Tensor) -> dict[str, Tensor]:
    """Weights of a student as wide as the teacher that computes the teacher's outputs with its own exact statistics.

    The student normalises with the statistics mu, sigma^2 of its training images, where the teacher used m and s^2.
    Scale and shift absorb the difference: gamma_s = gamma sigma / s and beta_s = beta + gamma (mu - m) / s.

    Args:
        teacher: The teacher's state, as stored.
        images: The student's training images, ``[N, C, H, W]``.

    Returns:
        A state dict in float64; running statistics are the exact ones of `images`, with biased variances.
    """
    width, head = len(teacher["block1.bn1.weight"]), "hidden" if "hidden.linear.weight" in teacher else "linear"
    network = _build(Model.model_validate({"name": "song", "width": width, "head": head}), images).double().eval()
    network.load_state_dict(dict(teacher), strict=False)  # the counts of batches are not stored
    layers = statistics.batchnorm_layers(network)
    moments = statistics.input_moments(network, images, layers.values())
    student = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for name, layer in layers.items():
        mean, var = moments[layer].mean, moments[layer].var
        old_mean, old_scale = layer.get_buffer("running_mean"), (layer.get_buffer("running_var") + layer.eps).sqrt()
        student[f"{name}.weight"] = (layer.weight * (var + layer.eps).sqrt() / old_scale).detach()
        student[f"{name}.bias"] = (layer.bias + layer.weight * (mean - old_mean) / old_scale).detach()
        student[f"{name}.running_mean"], student[f"{name}.running_var"] = mean, var
    return student


def teacher_network(settings: Labels, image_shape: tuple[int, int, int]) -> nn.Module:
    """The teacher's network, not drawn yet."""
    return models.build(_model(settings), image_shape, 1)


def _model(settings: Labels) -> Model:
    return Model.model_validate(
        {
            "name": "song",
            "width": settings.teacher_width,
            "head": settings.teacher_head,
            "downsample": settings.teacher_downsample,
        }
    )


def _build(model: Model, images: Tensor) -> nn.Module:
    channels, height, width = images.shape[1:]
    return models.build(model, (channels, height, width), 1)


@torch.no_grad()
def _shift(network: nn.Module, images: Tensor, margin: float) -> None:
    median = np.median(statistics.outputs(network, images).numpy())
    network.get_parameter("output.bias").sub_(float(median))


@torch.no_grad()
def _calibrate(network: nn.Module, images: Tensor, margin: float) -> None:
    statistics.calibrate(network, images)
    ordered = np.sort(np.abs(statistics.outputs(network, images).numpy()))
    below = len(ordered) // 3
    # Halfway between two samples, so that rounding cannot move one across the margin.
    quantile = (ordered[below - 1] + ordered[below]) / 2
    if quantile > 0:
        for name in ("output.weight", "output.bias"):
            network.get_parameter(name).mul_(margin / quantile)


def _split(settings: Labels, pool: Pool, teacher: Candidate, tried: list[Candidate]) -> Selection:
    order = stream(teacher.seed, ORDER).permutation(teacher.survivors)
    train_size, test_size = settings.train_size, settings.test_size
    if train_size is None and test_size is None:
        train_size = min(max(round(len(order) * pool.n_train / len(pool.images)), 1), len(order) - 1)
    if train_size is None:
        train_size = len(order) - (test_size or 0)
    if test_size is None:
        test_size = len(order) - train_size
    train, test = order[:train_size], order[train_size : train_size + test_size]
    labels = np.sign(teacher.outputs).astype(np.int64)
    facts = {
        "seed": teacher.seed,
        "width": settings.teacher_width,
        "batchnorm": settings.teacher_batchnorm,
        "margin": settings.margin,
        "output_std": float(teacher.outputs.std()),
        "survivors": len(teacher.survivors),
        "minority_share": teacher.minority_share,
        "tried": json.dumps([str(candidate) for candidate in tried]),
    }
    # The count of batches, an integer that BatchNorm keeps, plays no part in the arithmetic.
    state = {name: tensor for name, tensor in teacher.network.state_dict().items() if tensor.is_floating_point()}
    outputs = torch.from_numpy(teacher.outputs[:, None]).float()
    network = Teacher(_model(settings), state, outputs[train], outputs[test])
    return Selection(train, test, labels[train], labels[test], 2, network, facts)


def _none_accepted(settings: Labels, pool: Pool, needed: int, tried: list[Candidate]) -> UserError:
    best = max(tried, key=lambda candidate: (min(len(candidate.survivors), needed), candidate.minority_share))
    return UserError(
        f"labels: no teacher was accepted for the {len(pool.images):,} images in {pool.path}. "
        f"Needed: {needed:,} survivors with |output| >= {settings.margin:g}, and a minority share of at least "
        f"{settings.minority_share:g}. Tried seeds {tried[0].seed} to {tried[-1].seed}; the best was {best}. "
        "Lower labels.train_size, labels.test_size, labels.margin or labels.minority_share, "
        "raise labels.teacher_tries, or choose another labels.teacher_seed.\n"
        + "\n".join(f"  {candidate}" for candidate in tried)
    )
