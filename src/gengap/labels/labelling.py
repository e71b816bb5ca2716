"""Applying a label rule to a prepared file, and storing what it says."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gengap import provenance, registry, storage
from gengap.labels.pool import Pool, Selection, read_pool
from gengap.labels.reading import digest
from gengap.logs import log
from gengap.settings import Labels


def label(settings: Labels, prepared: Path, output: Path) -> None:
    """Write the indices of the images that a study uses, and their labels.

    Args:
        settings: Which rule, how many images.
        prepared: The file of kind ``prepared``.
        output: The file, of kind ``labelled``: indices into the pool and labels of each split, and the group
            ``teacher`` with the weights of the network that labelled, if one did.

    Raises:
        UserError: If the prepared file is no good, or has too few images for the rule.
    """
    pool = read_pool(prepared)
    selection: Selection = registry.load("labels", settings.name).select(settings, pool)
    balance = {"train": _shares(selection.train_labels), "test": _shares(selection.test_labels)}
    with storage.reading(prepared, "prepared") as file:
        dataset = storage.provenance_of(file)["settings"]
    record = provenance.record({"labels": settings.model_dump(mode="json"), **dataset})
    with storage.writing(output, "labelled", record) as file:
        for name in ("train_indices", "test_indices", "train_labels", "test_labels"):
            storage.write_array(file, name, getattr(selection, name))
        teacher = file.create_group("teacher")
        for name, tensor in selection.teacher.items():
            storage.write_array(teacher, name, tensor.numpy())
        teacher.attrs.update(selection.facts)
        file.attrs["n_classes"] = selection.n_classes
        file.attrs["class_balance"] = json.dumps(balance)
        file.attrs["digest"] = _digest(pool, selection)
    log.info(
        "%s: %d train and %d test images, shares of the classes when training: %s",
        *(settings.name, len(selection.train_indices), len(selection.test_indices)),
        ", ".join(f"{name}: {share:.1%}" for name, share in balance["train"].items()),
    )


def _shares(labels: NDArray[np.int64]) -> dict[str, float]:
    values, counts = np.unique(labels, return_counts=True)
    return {str(value): count / len(labels) for value, count in zip(values.tolist(), counts.tolist(), strict=True)}


def _digest(pool: Pool, selection: Selection) -> str:
    images = pool.images.numpy()
    return digest(
        images[selection.train_indices], selection.train_labels, images[selection.test_indices], selection.test_labels
    )
