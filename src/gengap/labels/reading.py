"""The data that a network is trained and tested on."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gengap import losses, registry
from gengap.errors import UserError
from gengap.files import storage
from gengap.labels.patching import Patches
from gengap.labels.pool import Pool, Teacher, read_pool, selected_images
from gengap.studies.identity import digest_of_all
from gengap.studies.settings import Labels, Loss, Model


@dataclass(frozen=True)
class Digests:
    """sha256 of labelled data, by which results know them.

    Attributes:
        data: Of images and labels.
        teacher: Of the teacher's outputs; empty without a teacher.
    """

    data: str
    teacher: str = ""

    @property
    def all(self) -> str:
        """Of everything."""
        return digest_of_all(self.data, self.teacher)

    def for_loss(self, loss: Loss) -> str:
        """Of what a cell with this loss depends on: images and labels, and the teacher's outputs if it is told.

        The outputs are left out for other losses, so that it is the same as before they were kept.
        """
        return self.all if losses.needs_teacher(loss) else self.data


@dataclass(frozen=True)
class LabelledData:
    """Images and labels, as training and probes take them.

    Attributes:
        train_images: float32 ``[N, C, H, W]``.
        train_labels: int64 ``[N]``: class indices, or -1 and +1 where a teacher labelled.
        test_images: As `train_images`.
        test_labels: As `train_labels`.
        n_classes: How many classes there are.
        digest: sha256 of images and labels: what the results of most losses depend on; see `digest_for`.
        teacher: The network that labelled; None for labels without one.
        patches: What training makes its images of in every epoch anew; None: it takes the train images as they are.
        test_sets: Further test images and labels by name, as the rule made them; see `gengap.labels.patches`.
        pixel_scale: Mean and standard deviation of each channel with which the dataset was standardised, ``[C]`` both.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    n_classes: int
    digest: str
    teacher: Teacher | None = None
    patches: Patches | None = None
    test_sets: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    pixel_scale: tuple[Tensor, Tensor] | None = None

    def targets(self, loss: Loss) -> tuple[Tensor, Tensor]:
        """Train and test targets as the loss wants them.

        Returns:
            Labels, int64 ``[N]``, or the teacher's outputs, float32 ``[N, n_outputs]``; on the CPU.

        Raises:
            UserError: If the loss needs a teacher's outputs and there are none.
        """
        if losses.needs_teacher(loss):
            teacher = self._teacher_for(loss)
            return teacher.train_outputs, teacher.test_outputs
        n_outputs = losses.n_outputs(loss, self.n_classes)
        return losses.targets(self.train_labels, n_outputs), losses.targets(self.test_labels, n_outputs)

    def digest_for(self, loss: Loss) -> str:
        """See `Digests.for_loss`."""
        if losses.needs_teacher(loss):
            self._teacher_for(loss)
        return self.digests.for_loss(loss)

    @property
    def digests(self) -> Digests:
        """Digests of all of it."""
        if self.teacher is None:
            return Digests(self.digest)
        return Digests(self.digest, digest(self.teacher.train_outputs.numpy(), self.teacher.test_outputs.numpy()))

    def _teacher_for(self, loss: Loss) -> Teacher:
        if self.teacher is None:
            raise UserError(
                f"loss.name: '{loss.name}' needs the outputs of a teacher, and these labels come without. Choose a "
                "labels.name with a teacher; if it has one, the file in data/labelled is of an earlier version: "
                "remove it, and run the study again."
            )
        return self.teacher


def read_digests(labelled: Path) -> Digests:
    """The digests that a file of kind ``labelled`` was written with.

    Raises:
        UserError: If it is missing or damaged.
    """
    with storage.reading(labelled, "labelled") as file:
        teacher = str(file["teacher"].attrs["outputs_digest"]) if "train_outputs" in file else ""
        return Digests(str(file.attrs["digest"]), teacher)


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
        teacher = _read_teacher(file, labelled)
        rule, constants = _read_rule(file)
    pool = read_pool(prepared)
    computed = ""
    if max(chosen.max(initial=-1) for chosen in indices.values()) < len(pool.images):
        images = {split: selected_images(rule, pool, chosen, constants) for split, chosen in indices.items()}
        computed = digest(images["train"].numpy(), labels["train"], images["test"].numpy(), labels["test"])
    if computed != expected:
        raise UserError(
            f"{labelled}: was made for other images than those in {prepared}. Remove it, and run the study again."
        )
    return LabelledData(
        train_images=images["train"],
        train_labels=torch.from_numpy(labels["train"]),
        test_images=images["test"],
        test_labels=torch.from_numpy(labels["test"]),
        n_classes=n_classes,
        digest=computed,
        teacher=teacher,
        patches=_rule_says("redrawn", rule, pool, indices["train"], constants),
        test_sets=_rule_says("test_sets", rule, pool, indices["test"], constants) or {},
        pixel_scale=pool.pixel_scale,
    )


def _read_rule(file: h5py.File) -> tuple[Labels, dict[str, NDArray[Any]]]:
    """The rule if it changes images, with what it needs to do so; else one that changes none."""
    if "rule" not in file:
        return Labels(), {}
    group = file["rule"]
    settings = Labels.model_validate_json(group.attrs["settings"])
    return settings, {name: group[name][()] for name in storage.dataset_names(group)}


def _rule_says(
    what: str, rule: Labels, pool: Pool, indices: NDArray[np.int64], constants: Mapping[str, NDArray[Any]]
) -> Any:
    """What a function of the rule makes of the pool's images at some indices; None if the rule has no such function."""
    function = getattr(registry.load("labels", rule.name), what, None)
    return function and function(rule, pool.images[torch.from_numpy(indices)], indices, constants)


def _read_teacher(file: h5py.File, path: Path) -> Teacher | None:
    """The network that labelled; None if none did, or if the file was made before outputs were kept."""
    if "train_outputs" not in file:
        return None
    group = file["teacher"]
    outputs = {name: file[name][()] for name in ("train_outputs", "test_outputs")}
    if digest(*outputs.values()) != group.attrs["outputs_digest"]:
        raise UserError(f"{path}: the teacher's outputs were changed. Remove the file, and run the study again.")
    return Teacher(
        model=Model.model_validate_json(group.attrs["model"]),
        state={name: torch.from_numpy(array) for name, array in storage.read_arrays(group).items()},
        **{name: torch.from_numpy(array) for name, array in outputs.items()},
    )


def digest(*arrays: NDArray[Any]) -> str:
    """sha256 of arrays: their types, shapes and contents."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()
