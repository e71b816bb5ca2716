"""Applying a label rule to a prepared file, and storing what it says."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gengap import provenance, registry
from gengap.files import storage
from gengap.labels.pool import Pool, Selection, Teacher, changes_images, read_pool, selected_images
from gengap.labels.reading import digest
from gengap.logs import log
from gengap.registry import code_dependencies
from gengap.studies.settings import Labels


def label(settings: Labels, prepared: Path, output: Path) -> None:
    """Write the indices of the images that a study uses, and their labels.

    Args:
        settings: Which rule, how many images.
        prepared: The file of kind ``prepared``.
        output: The file, of kind ``labelled``: indices into the pool and labels of each split; if a network labelled,
            the group ``teacher`` with its weights, and ``train_outputs`` and ``test_outputs`` with what it says; if the
            rule changes images, the group ``rule`` with what it needs to do so again.

    Raises:
        UserError: If the prepared file is no good, or has too few images for the rule.
    """
    pool = read_pool(prepared)
    selection: Selection = registry.load("labels", settings.name).select(settings, pool)
    balance = {"train": _shares(selection.train_labels), "test": _shares(selection.test_labels)}
    with storage.reading(prepared, "prepared") as file:
        dataset = storage.provenance_of(file)["settings"]
    code = code_dependencies.digest(code_dependencies.code_of_part("labels", settings.name))
    record = provenance.record({"labels": settings.model_dump(mode="json"), **dataset}, code=code)
    with storage.writing(output, "labelled", record) as file:
        for name in ("train_indices", "test_indices", "train_labels", "test_labels"):
            storage.write_array(file, name, getattr(selection, name))
        if selection.teacher:
            _write_teacher(file, selection.teacher, selection.facts)
        if changes_images(settings):
            group = file.create_group("rule")
            group.attrs["settings"] = settings.model_dump_json()
            for name, array in selection.constants.items():
                storage.write_array(group, name, array)
        file.attrs["n_classes"] = selection.n_classes
        file.attrs["class_balance"] = json.dumps(balance)
        file.attrs["digest"] = _digest(settings, pool, selection)
    log.info(
        "%s: %d train and %d test images, shares of the classes when training: %s",
        *(settings.name, len(selection.train_indices), len(selection.test_indices)),
        ", ".join(f"{name}: {share:.1%}" for name, share in balance["train"].items()),
    )


def _write_teacher(file: h5py.File, teacher: Teacher, facts: Mapping[str, Any]) -> None:
    group = file.create_group("teacher")
    for name, tensor in teacher.state.items():
        storage.write_array(group, name, tensor.numpy())
    group.attrs.update(facts)
    group.attrs["model"] = teacher.model.model_dump_json()
    outputs = {name: getattr(teacher, name).numpy() for name in ("train_outputs", "test_outputs")}
    for name, array in outputs.items():
        storage.write_array(file, name, array)
    group.attrs["outputs_digest"] = digest(*outputs.values())


def _shares(labels: NDArray[np.int64]) -> dict[str, float]:
    values, counts = np.unique(labels, return_counts=True)
    return {str(value): count / len(labels) for value, count in zip(values.tolist(), counts.tolist(), strict=True)}


def _digest(settings: Labels, pool: Pool, selection: Selection) -> str:
    """As `gengap.labels.reading.read` finds it."""
    train, test = (
        selected_images(settings, pool, indices, selection.constants).numpy()
        for indices in (selection.train_indices, selection.test_indices)
    )
    return digest(train, selection.train_labels, test, selection.test_labels)
