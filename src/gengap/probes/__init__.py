"""Probes: measurements of trained networks. A new one is one file with a header and `measure`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gengap import losses, models, registry
from gengap.engine import device as devices
from gengap.engine import evaluation, precision, stack
from gengap.errors import UnreadableError, UserError
from gengap.labels import LabelledData
from gengap.logs import DETAIL, log
from gengap.probes import measurement_store, results
from gengap.probes.checkpoints import Checkpoints
from gengap.probes.context import Measure, ProbeContext, Teacher
from gengap.probes.identity import identities
from gengap.probes.results import Checkpoint, Measured, ProbeResults
from gengap.progress import Pace, Progress
from gengap.studies.identity import method
from gengap.studies.settings import Cell
from gengap.studies.study import Probe

# On a processor, where a measurement does not depend on the others of its part, few at once and fewer at first: so one
# sees how far it has come. On a GPU, many fill it.
_AT_ONCE = {"cpu": (1, 2, 4, 8), "cuda": (64,)}
# What a network can do to a measurement: a number out of range, a matrix that does not decompose, too little memory.
_FAILURES = (ArithmeticError, RuntimeError, ValueError)


def measure_pack(
    probe: Probe,
    cells: Mapping[str, Cell],
    weights_path: Path,
    data: LabelledData,
    output: Path,
    *,
    store_folder: Path | None = None,
    device: str = "auto",
    provenance: Mapping[str, Any] | None = None,
) -> Pace:
    """Measure one probe on a pack's checkpoints, except those that its file or the store already hold.

    A network that cannot be measured is recorded with the reason; the others are still measured.

    Args:
        probe: Which probe, at which epochs, in which BatchNorm mode, with which options.
        cells: The pack's cells by name.
        weights_path: Their weights file.
        data: Their labelled data.
        output: HDF5 file of kind ``probe``: table ``measurements``, group ``arrays``, table ``failures`` of what
            could not be measured, and why; table ``checkpoints`` of what was. Replaced as a whole.
        store_folder: Measurements of all studies; None keeps none.
        device: ``auto``, ``cpu`` or ``cuda``.
        provenance: Stored in the file.

    Returns:
        Checkpoints that were measured in this call, and their time.

    Raises:
        UserError: If a file is damaged or of another version.
    """
    target_device = devices.choose(device)
    checkpoints = Checkpoints(weights_path, cells, target_device)
    wanted = checkpoints.wanted(probe)
    order = checkpoints.at(wanted)
    known = identities(probe, cells, data.digests, checkpoints.digests())
    found = ProbeResults(probe)
    found.measured = _measured(order, known, output, store_folder)
    missing = [row for row, at in zip(wanted, order, strict=True) if at not in found.measured]
    left = (probe.name, len(missing), len(wanted))
    log.info("%s: %d of %d checkpoints are to be measured", *left, extra={DETAIL: True})
    pace = Pace()
    if missing:
        measure: Measure = registry.load("probe", probe.name).measure
        subject_of = _subjects(probe, cells, checkpoints, data, target_device)
        how, done = method(probe), 0
        progress = Progress(f"{probe.name}: checkpoint", len(missing), "checkpoints")
        for part in checkpoints.parts(missing, _AT_ONCE[target_device.type]):
            with precision.tensor_float32(False):
                _measure_part(measure, subject_of, part, checkpoints, found)
            done += len(part)
            progress.advance(done, len(part))
            if store_folder:
                for name, measured in _by_cell(checkpoints.at(part), found).items():
                    measurement_store.put(store_folder, known[name], probe, cells[name], measured, how)
        pace = progress.pace()
    found.warn()
    described = {**(provenance or {}), "device": devices.describe(target_device)}
    found.write(output, described, order=order, identities=known)
    return pace


def outstanding(
    wanted: Sequence[Checkpoint],
    known: Mapping[str, str],
    output: Path,
    store_folder: Path | None,
) -> list[Checkpoint]:
    """Which checkpoints `measure_pack` would have to measure.

    Args:
        wanted: Cells and epochs that it is to measure.
        known: See `gengap.probes.identity.identities`; a cell that has none was not trained yet.
        output: The pack's file, which need not exist.
        store_folder: See `measure_pack`.
    """
    held = _held(wanted, known, output, store_folder)
    return [at for at in wanted if at not in held]


def _held(
    wanted: Sequence[Checkpoint], known: Mapping[str, str], output: Path, store_folder: Path | None
) -> dict[Checkpoint, bool]:
    """Which checkpoints need not be measured, and whether the pack's own file has them, not only the store."""
    in_file: set[tuple[str, float]] = set()
    if output.exists():
        try:
            in_file = results.read_index(output)
        except UnreadableError:
            raise
        except UserError as error:
            log.warning("%s It is measured again.", error)
    held = {at: True for at in wanted if at[0] in known and (known[at[0]], at[1]) in in_file}
    if store_folder:
        epochs = {name: measurement_store.epochs(store_folder, known[name]) for name, _ in wanted if name in known}
        held |= {at: False for at in wanted if at not in held and at[1] in epochs.get(at[0], ())}
    return held


def _measured(
    wanted: Sequence[Checkpoint], known: Mapping[str, str], output: Path, store_folder: Path | None
) -> dict[Checkpoint, Measured]:
    """What the pack's file and the store hold of these checkpoints."""
    held = _held(wanted, known, output, store_folder)
    in_file: dict[tuple[str, float], Measured] = {}
    if own := {(known[name], epoch) for (name, epoch), here in held.items() if here}:
        try:
            in_file = results.read(output, own)
        except UnreadableError:
            raise
        except UserError as error:
            log.warning("%s It is measured again.", error)
    found = {(name, epoch): in_file[known[name], epoch] for name, epoch in held if (known[name], epoch) in in_file}
    for name in dict.fromkeys(name for name, _ in held):
        if store_folder:
            epochs = {epoch for one, epoch in wanted if one == name and (one, epoch) not in found}
            stored = measurement_store.get(store_folder, known[name], epochs)
            found |= {(name, epoch): one for epoch, one in stored.items()}
    return found


def _measure_part(
    measure: Measure,
    subject_of: Callable[[Sequence[int]], ProbeContext],
    part: Sequence[int],
    checkpoints: Checkpoints,
    found: ProbeResults,
) -> None:
    """Measure some checkpoints together; if that fails, one by one."""
    names, epochs = checkpoints.names(part), checkpoints.epochs(part)
    try:
        found.add(measure(subject_of(part)), names, epochs)
    except _FAILURES:
        for row, name, epoch in zip(part, names, epochs, strict=True):
            try:
                found.add(measure(subject_of([row])), [name], [epoch])
            except _FAILURES as error:
                found.fail(name, epoch, error)


def _by_cell(part: Sequence[Checkpoint], found: ProbeResults) -> dict[str, dict[float, Measured]]:
    """What was measured of these checkpoints, by cell and epoch."""
    cells: dict[str, dict[float, Measured]] = {}
    for name, epoch in part:
        if (name, epoch) in found.measured:
            cells.setdefault(name, {})[epoch] = found.measured[name, epoch]
    return cells


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
    test_labels = data.test_labels.to(device)
    teacher = _teacher(data, image_shape, dtype, device)
    test_sets = {
        name: (images.to(device, dtype), losses.targets(labels, n_outputs).to(device))
        for name, (images, labels) in data.test_sets.items()
    }

    weights_only = registry.check("probe", probe.name).weights_only

    def subject_of(rows: Sequence[int]) -> ProbeContext:
        names, saved = checkpoints.names(rows), checkpoints.read(rows)
        return ProbeContext(
            arch=arch,
            state=saved if weights_only else evaluation.for_mode(arch, saved, train_images, probe.batchnorm),
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
            test_labels=test_labels,
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
