"""Training and test images of one draw, flat and with pixels from 0 to 1, for simulations that fit them by formula."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gengap import seeding
from gengap.errors import UserError
from gengap.files import storage
from gengap.studies.simulation import NORMAL, Point
from gengap.studies.sizes import Sizes

_CLASSES, _PIXELS = 10, 20  # of normal pixels
_ROLE = 0  # in the path of the streams


@dataclass(frozen=True)
class Sample:
    """Images and labels of one draw.

    Attributes:
        train: Pixels, float64 ``[n, p]``.
        train_labels: Class indices, int64 ``[n]``, some of them replaced.
        test: Pixels, float64 ``[m, p]``.
        test_labels: Class indices, int64 ``[m]``.
        n_classes: How many classes there are.
    """

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    n_classes: int

    @property
    def targets(self) -> Tensor:
        """One-hot train labels, float64 ``[n, n_classes]``."""
        return torch.nn.functional.one_hot(self.train_labels, self.n_classes).double()


def sample(point: Point, seed: int, prepared: Path | None) -> Sample:
    """Draw images without repetition, and replace a share of the training labels by uniform classes.

    Without a dataset, the images of ten classes are standard normal around standard normal centres, of 20 pixels.

    Args:
        point: It has `dataset`, `samples`, `test_samples` and `label_noise`.
        seed: Number of the draw; draws of one seed share images and replaced labels, whatever else differs.
        prepared: The dataset's prepared file; None for normal pixels.

    Raises:
        UserError: If the dataset has fewer images.
    """
    stream = seeding.stream(seed, seeding.SIMULATION, _ROLE, point.samples)
    sizes = {"train": point.samples, "test": point.test_samples}
    if prepared is None:
        assert point.dataset == NORMAL
        centres = stream.standard_normal((_CLASSES, _PIXELS))
        labels = {split: stream.integers(_CLASSES, size=size) for split, size in sizes.items()}
        images = {split: centres[of] + stream.standard_normal((len(of), _PIXELS)) for split, of in labels.items()}
        n_classes = _CLASSES
    else:
        images, labels, n_classes = _stored(point, stream, prepared, sizes)
    replaced = stream.random(point.samples) < point.label_noise
    noisy = np.where(replaced, stream.integers(n_classes, size=point.samples), labels["train"])
    return Sample(
        torch.from_numpy(images["train"]),
        torch.from_numpy(noisy),
        torch.from_numpy(images["test"]),
        torch.from_numpy(labels["test"]),
        n_classes,
    )


def check(point: Point, data: Sizes | None) -> None:
    """Refuse more images than the dataset has, as far as its header says how many.

    Raises:
        UserError: With both numbers.
    """
    for key, split, there in (("samples", "train", 0), ("test_samples", "test", 1)):
        asked, most = getattr(point, key), data.pool[there] if data and data.pool else None
        if most is not None and asked > most:
            raise UserError(
                f"{key}: '{point.dataset}' has {most:,} {split} images, and {asked:,} are asked for. Lower it."
            )


def measured(sample: Sample, train_outputs: Tensor, test_outputs: Tensor) -> dict[str, float]:
    """Accuracies, and squared losses as `gengap.losses.squared` has them, of outputs ``[samples, n_classes]``."""
    found = {}
    for split, outputs, labels in (
        ("train", train_outputs, sample.train_labels),
        ("test", test_outputs, sample.test_labels),
    ):
        one_hot = torch.nn.functional.one_hot(labels, sample.n_classes)
        found[f"{split}_accuracy"] = (outputs.argmax(dim=1) == labels).double().mean().item()
        found[f"{split}_loss"] = (outputs - one_hot).square().mean().item()
        found[f"{split}_error"] = 1 - found[f"{split}_accuracy"]
    return found


def _stored(point: Point, stream: np.random.Generator, prepared: Path, sizes: dict[str, int]) -> Any:
    images, labels = {}, {}
    with storage.reading(prepared, "prepared") as file:
        mean, std = (np.asarray(file.attrs[name])[None, :, None, None] for name in ("mean", "std"))
        for split, size in sizes.items():
            stored = file[f"{split}_images"]
            if size > len(stored):
                raise UserError(
                    f"{'samples' if split == 'train' else 'test_samples'}: '{point.dataset}' has {len(stored):,} "
                    f"{split} images, and {size:,} are asked for. Lower it."
                )
            chosen = np.sort(stream.choice(len(stored), size=size, replace=False))  # h5py reads in order
            pixels = stored[chosen].astype(np.float64) * std + mean
            images[split], labels[split] = pixels.reshape(size, -1), file[f"{split}_labels"][chosen]
        n_classes = int(file["train_labels"][()].max()) + 1
    return images, labels, n_classes
