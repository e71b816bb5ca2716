"""The input and the result of a label rule."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gengap import registry
from gengap.errors import UserError
from gengap.files import storage
from gengap.seeding import ORDER, stream
from gengap.studies.settings import Labels, Model


@dataclass(frozen=True)
class Pool:
    """All images of a prepared file: the train images, followed by the test images.

    Attributes:
        path: The file, for messages.
        images: float32 ``[N, C, H, W]``.
        labels: int64 ``[N]``, as the dataset came.
        n_train: How many of them are train images.
        classes: Names of the dataset's classes.
        stream: Whether training draws its own images, so that the train images here only measure it.
        pixel_scale: Mean and standard deviation of each channel with which pixels were standardised, ``[C]`` both.
    """

    path: Path
    images: Tensor
    labels: NDArray[np.int64]
    n_train: int
    classes: tuple[str, ...]
    stream: bool
    pixel_scale: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class Teacher:
    """The network that labelled, as it was when it did: in evaluation mode, with these running statistics.

    Attributes:
        model: Its settings, for `gengap.models.build`.
        state: Its parameters and running statistics by name, float64.
        train_outputs: What it says of the train images, float32 ``[N, n_outputs]``.
        test_outputs: What it says of the test images.
    """

    model: Model
    state: Mapping[str, Tensor]
    train_outputs: Tensor
    test_outputs: Tensor

    @property
    def n_outputs(self) -> int:
        """How many outputs it has."""
        return self.train_outputs.shape[1]


@dataclass(frozen=True)
class Selection:
    """Which images of the pool are used, and their labels.

    Attributes:
        train_indices: int64, into the pool.
        test_indices: int64, into the pool.
        train_labels: int64, one per index.
        test_labels: int64, one per index.
        n_classes: How many classes there are.
        teacher: The network that labelled, if one did.
        facts: What to record of it.
        constants: Arrays that the rule's `change` needs beside its settings, by name. They are stored, since sums are
            rounded differently from machine to machine, and the changed images must be the same on all.
    """

    train_indices: NDArray[np.int64]
    test_indices: NDArray[np.int64]
    train_labels: NDArray[np.int64]
    test_labels: NDArray[np.int64]
    n_classes: int
    teacher: Teacher | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def read_pool(prepared: Path) -> Pool:
    """Read a prepared file whole.

    Raises:
        UserError: If the file is missing, damaged or incomplete.
    """
    with storage.reading(prepared, "prepared") as file:
        train, test = file["train_images"], file["test_images"]
        labels = np.concatenate([file["train_labels"][()], file["test_labels"][()]])
        if train.shape[1:] != test.shape[1:] or len(labels) != len(train) + len(test):
            raise UserError(
                f"{prepared}: its images and labels do not fit together. Remove it, and run the study again."
            )
        images = np.empty((len(labels), *test.shape[1:]), dtype=np.float32)
        for source, start in ((train, 0), (test, len(train))):
            if len(source):
                source.read_direct(images, dest_sel=np.s_[start : start + len(source)])
        known = "mean" in file.attrs and "std" in file.attrs
        scale = (torch.as_tensor(file.attrs["mean"]), torch.as_tensor(file.attrs["std"])) if known else None
        return Pool(
            path=prepared,
            images=torch.from_numpy(images),
            labels=labels,
            n_train=len(train),
            classes=tuple(json.loads(file.attrs["classes"])),
            stream=bool(file.attrs.get("stream", False)),
            pixel_scale=scale,
        )


def dataset_split(
    settings: Labels, pool: Pool, kept: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the dataset's own train and test images, or of the first of them in a fixed shuffle.

    The shuffle is there because files may be sorted by class. It depends on nothing but the number of images, so a
    smaller selection is part of a larger one.

    Args:
        settings: How many images.
        pool: The images.
        kept: Which of them may be chosen, ``[N]``; None: all.

    Raises:
        UserError: If there are fewer images than asked for.
    """
    allowed = np.arange(len(pool.labels)) if kept is None else np.flatnonzero(kept)
    train, test = allowed[allowed < pool.n_train], allowed[allowed >= pool.n_train]
    return _first(settings.train_size, train, "train_size", pool), _first(settings.test_size, test, "test_size", pool)


def own_labels(settings: Labels, pool: Pool) -> NDArray[np.int64]:
    """The labels that the dataset came with, ``[N]``.

    Raises:
        UserError: If it came without.
    """
    if len(pool.classes) < 2:
        raise UserError(
            f"labels.name: '{settings.name}': the images in {pool.path} came without labels. "
            "Set labels.name to teacher."
        )
    return pool.labels


def selected_images(
    settings: Labels, pool: Pool, indices: NDArray[np.int64], constants: Mapping[str, NDArray[Any]]
) -> Tensor:
    """The images at some indices as networks see them: the pool's, or what the rule's `change` makes of them.

    Changed images are not stored, since they are as large as the pool: they are computed again whenever they are read,
    and the digest of the labelled data says that they are the same.

    Args:
        settings: Which rule, and its options.
        pool: The images.
        indices: int64 ``[M]``, into the pool.
        constants: See `Selection`.

    Returns:
        float32 ``[M, C, H, W]``.
    """
    images = _chosen(pool.images, indices)
    if not changes_images(settings):
        return images
    changed: Tensor = registry.load("labels", settings.name).change(settings, images, indices, constants)
    return changed


def _chosen(images: Tensor, indices: NDArray[np.int64]) -> Tensor:
    """Some images; not copied if they follow each other, as a dataset's own train and test images do."""
    first, count = int(indices[0]) if len(indices) else 0, len(indices)
    if np.array_equal(indices, np.arange(first, first + count)):
        return images[first : first + count]
    return images[torch.from_numpy(indices)]


def changes_images(settings: Labels) -> bool:
    """Whether a label rule changes images too."""
    return hasattr(registry.load("labels", settings.name), "change")


def _first(size: int | None, indices: NDArray[np.int64], key: str, pool: Pool) -> NDArray[np.int64]:
    if size is None:
        return indices
    if size > len(indices):
        raise UserError(
            f"labels.{key}: {size:,} images are asked for, {pool.path} has {len(indices):,}. "
            f"Choose from 1 to {len(indices)}, or null for all."
        )
    return indices[stream(0, ORDER).permutation(len(indices))[:size]]
