"""Probes: measurements of trained networks. A new one is one file with a header and `measure`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gengap import losses, models, registry
from gengap.engine import device as devices
from gengap.engine import evaluation, stack
from gengap.labels import LabelledData
from gengap.logs import log
from gengap.probes.checkpoints import Checkpoints
from gengap.probes.context import Measure, ProbeContext, Teacher
from gengap.probes.results import ProbeResults
from gengap.studies.settings import Cell
from gengap.studies.study import Probe

_CHECKPOINTS_AT_ONCE = 64
# What a network can do to a measurement: a number out of range, a matrix that does not decompose, too little memory.
_FAILURES = (ArithmeticError, RuntimeError, ValueError)


def measure_pack(
    probe: Probe,
    cells: Mapping[str, Cell],
    weights_path: Path,
    data: LabelledData,
    output: Path,
    *,
    device: str = "auto",
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Measure one probe on a pack's checkpoints.

    A network that cannot be measured is recorded with the reason, and the others are measured all the same.

    Args:
        probe: Which probe, at which epochs, in which BatchNorm mode, with which options.
        cells: The pack's cells by name.
        weights_path: Their weights file.
        data: Their labelled data.
        output: HDF5 file of kind ``probe``: table ``measurements``, group ``arrays``, and table ``failures`` of what
            could not be measured, and why.
        device: ``auto``, ``cpu`` or ``cuda``.
        provenance: Stored in the file.

    Raises:
        UserError: If a file is damaged or of another version.
    """
    measure: Measure = registry.load("probe", probe.name).measure
    target_device = devices.choose(device)
    checkpoints = Checkpoints(weights_path, cells, target_device)
    wanted = checkpoints.wanted(probe)
    subject_of = _subjects(probe, cells, checkpoints, data, target_device)
    findings = ProbeResults(probe)
    measured = 0
    for part in checkpoints.parts(wanted, _CHECKPOINTS_AT_ONCE):
        names, epochs = checkpoints.names(part), checkpoints.epochs(part)
        try:
            findings.add(measure(subject_of(part)), names, epochs)
        except _FAILURES:
            for row, name, epoch in zip(part, names, epochs, strict=True):
                try:
                    findings.add(measure(subject_of([row])), [name], [epoch])
                except _FAILURES as error:
                    findings.fail(name, epoch, error)
        measured += len(part)
        log.info("%s: %d of %d checkpoints measured", probe.name, measured, len(wanted))
    findings.write(output, {**(provenance or {}), "device": devices.describe(target_device)})


def _subjects(
    probe: Probe, cells: Mapping[str, Cell], checkpoints: Checkpoints, data: LabelledData, device: torch.device
) -> Callable[[Sequence[int]], ProbeContext]:
    """What makes the context of some checkpoints, by row number."""
    first = next(iter(cells.values()))
    dtype = getattr(torch, first.training.weights_dtype)
    n_outputs = losses.n_outputs(first.loss, data.n_classes)
    image_shape = (data.train_images.shape[1], data.train_images.shape[2], data.train_images.shape[3])
    arch = stack.architecture(models.build(first.model, image_shape, n_outputs))
    train_images = data.train_images.to(device, dtype)
    test_images = data.test_images.to(device, dtype)
    train_targets, test_targets = (targets.to(device) for targets in data.targets(first.loss))
    teacher = _teacher(data, image_shape, dtype, device)
    test_sets = {
        name: (images.to(device, dtype), losses.targets(labels, n_outputs).to(device))
        for name, (images, labels) in data.test_sets.items()
    }

    def subject_of(rows: Sequence[int]) -> ProbeContext:
        names = checkpoints.names(rows)
        return ProbeContext(
            arch=arch,
            state=evaluation.for_mode(arch, checkpoints.read(rows), train_images, probe.batchnorm),
            start=checkpoints.read_at(names, 0.0),
            batchnorm=probe.batchnorm,
            loss=first.loss,
            cells=tuple(cells[name] for name in names),
            train_images=train_images,
            train_targets=train_targets,
            test_images=test_images,
            test_targets=test_targets,
            options=probe,
            measured_at=tuple(checkpoints.epochs(rows)),
            epochs=checkpoints.saved_epochs(names[0]),
            saved=lambda epoch: checkpoints.read_at(names, epoch),
            teacher=teacher,
            test_sets=test_sets,
            pixel_scale=data.pixel_scale,
        )

    return subject_of


def _teacher(
    data: LabelledData, image_shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device
) -> Teacher | None:
    """The network that labelled, as probes take it."""
    if data.teacher is None:
        return None
    arch = stack.architecture(models.build(data.teacher.model, image_shape, data.teacher.n_outputs))
    state = {name: value.unsqueeze(0).to(device, dtype) for name, value in data.teacher.state.items()}
    return Teacher(arch, state)
