"""The data that a network is trained and tested on."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gengap import storage
from gengap.errors import UserError
from gengap.labels.pool import read_pool


@dataclass(frozen=True)
class LabelledData:
    """Images and labels, as training and probes take them.

    Attributes:
        train_images: float32 ``[N, C, H, W]``.
        train_labels: int64 ``[N]``: class indices, or -1 and +1 where a teacher labelled.
        test_images: As `train_images`.
        test_labels: As `train_labels`.
        n_classes: How many classes there are.
        digest: sha256 of images and labels: what a cell's results depend on.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    n_classes: int
    digest: str


def read(prepared: Path, labelled: Path) -> LabelledData:
    """Read the selected images and their labels.

    Args:
        prepared: The file of kind ``prepared`` that the labels were made for.
        labelled: The file of kind ``labelled``.

    Raises:
        UserError: If a file is missing or damaged, or if they do not belong together.
    """
    with storage.reading(labelled, "labelled") as file:
        indices = {split: file[f"{split}_indices"][()] for split in ("train", "test")}
        labels = {split: file[f"{split}_labels"][()] for split in ("train", "test")}
        n_classes, expected = int(file.attrs["n_classes"]), str(file.attrs["digest"])
    pool = read_pool(prepared).images
    found = ""
    if max(chosen.max(initial=-1) for chosen in indices.values()) < len(pool):
        images = {split: pool[torch.from_numpy(chosen)] for split, chosen in indices.items()}
        found = digest(images["train"].numpy(), labels["train"], images["test"].numpy(), labels["test"])
    if found != expected:
        raise UserError(
            f"{labelled}: was made for other images than those in {prepared}. Remove it, and run the study again."
        )
    return LabelledData(
        train_images=images["train"],
        train_labels=torch.from_numpy(labels["train"]),
        test_images=images["test"],
        test_labels=torch.from_numpy(labels["test"]),
        n_classes=n_classes,
        digest=found,
    )


def digest(*arrays: NDArray[Any]) -> str:
    """sha256 of arrays: their types, shapes and contents."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()
