"""What the settings of a study must satisfy together, whatever its data are."""

from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gengap import registry
from gengap.errors import UserError, hint, unknown_name
from gengap.quantities import QUANTITIES
from gengap.studies.grid import different, values_of
from gengap.studies.growing import seeds_of
from gengap.studies.meaning import changes_rate
from gengap.studies.schema import Component
from gengap.studies.scoreboard import known_quantities
from gengap.studies.settings import Cell, Training

if TYPE_CHECKING:
    from gengap.studies.study import Probe, Study

FACTS = ("n_parameters", "epochs_trained")  # final values that training itself reports
# Settings that some cells do not read, whatever they are called: when a cell reads them, and why it may not.
_READ_IF: dict[str, tuple[Callable[[Cell], bool], str]] = {
    "optimizer.nesterov": (lambda cell: cell.optimizer.momentum > 0, "optimizer.momentum is 0"),
    "optimizer.momentum_correction": (
        lambda cell: cell.optimizer.momentum > 0 and changes_rate(cell),
        "optimizer.momentum is 0 or the learning rate never changes",
    ),
    "model.batchnorm": (lambda cell: cell.model.norm != "none", "model.norm is none"),
    "model.affine": (lambda cell: "none" not in (cell.model.norm, cell.model.batchnorm), "model.batchnorm is none"),
    "model.group_size": (lambda cell: cell.model.norm == "group", "model.norm is not group"),
    "training.switch_epoch": (
        lambda cell: (cell.training.switch_epoch or 0) < cell.training.epochs and _switches(cell.training),
        "it is not before training.epochs, or nothing is another after it",
    ),
    "training.switch_batch_size": (
        lambda cell: cell.training.switch_epoch is not None,
        "training.switch_epoch is null",
    ),
    "training.restart_at_switch": (
        lambda cell: cell.training.switch_epoch is not None,
        "training.switch_epoch is null",
    ),
    "training.statistics_steps": (
        lambda cell: cell.training.step_batchnorm == "exact",
        "training.step_batchnorm is not exact",
    ),
    "schedule.warm_up_start": (lambda cell: cell.schedule.warm_up > 0, "schedule.warm_up is 0"),
    "schedule.warm_up": (lambda cell: cell.schedule.warm_up_start < 1, "schedule.warm_up_start is 1"),
    "training.projection": (lambda cell: cell.training.subspace is not None, "training.subspace is null"),
    "after.grow": (lambda cell: cell.after.weights != "fresh", "after.weights is fresh"),
    "after.mask": (lambda cell: bool(cell.after.prune), "after.prune is empty"),
    "after.scope": (lambda cell: bool(cell.after.prune), "after.prune is empty"),
    "training.noise_mode": (lambda cell: cell.training.noise_std > 0, "training.noise_std is 0"),
    "training.noise_factor": (
        lambda cell: cell.training.noise_std > 0 and bool(cell.training.noise_milestones),
        "training.noise_std is 0 or training.noise_milestones is empty",
    ),
    "training.noise_milestones": (
        lambda cell: cell.training.noise_std > 0 and cell.training.noise_factor < 1,
        "training.noise_std is 0 or training.noise_factor is 1",
    ),
}


def _switches(training: Training) -> bool:
    """Whether anything is another after `switch_epoch`."""
    return training.restart_at_switch or training.switch_batch_size != training.batch_size


def kept_epochs(cell: Cell) -> set[float]:
    """The epochs at which a cell's weights are kept, unless it stops before."""
    return {0.0, float(cell.training.epochs), *(at for at in cell.training.snapshots if at <= cell.training.epochs)}


def check_study(study: "Study", path: Path) -> None:
    """Refuse settings without any effect, seeds that are never added, and figures that lack what they show.

    Args:
        study: The study.
        path: Its file, for messages.

    Raises:
        UserError: The message names file, key and value.
    """
    _check_effects(study, path)
    _check_until(study, path)
    for name, cell in different(study.cells).items():
        if cell.training.subspace is not None and cell.optimizer.name == "adamw" and cell.optimizer.weight_decay:
            raise UserError(
                f"{path}: cell '{name}': optimizer.weight_decay: adamw multiplies weights, which training.subspace "
                "does not train. Choose adam, whose penalty is that of all weights, or leave it out."
            )
        if cell.training.subspace is not None and cell.optimizer.name == "sgd_unit_rows":
            raise UserError(
                f"{path}: cell '{name}': optimizer.name: sgd_unit_rows divides each node's weights by their norm, and "
                "training.subspace trains no weights. Choose another optimiser, or leave training.subspace out."
            )
    for kind, parts in (("figure", study.figures), ("table", study.tables)):
        for part in parts:
            _check_needs(study, part, f"{path}: {kind}s")
            _check_quantities(study, part, f"{path}: {kind}s")


def check_snapshots(study: "Study", path: Path, among: Container[float] | None = None) -> None:
    """Refuse snapshots beyond the last epoch of every cell.

    Args:
        study: The study.
        path: Its file, for the message.
        among: The epochs that are looked at; None: all. Of reduced settings those written below `reduced`, which may
            inherit others from the longer full study.

    Raises:
        UserError: The message names file, key and value.
    """
    reached: dict[float, int] = {}
    usual = Training().snapshots
    for training in _sections(study, "training"):
        for at in training.snapshots if training.snapshots != usual else ():
            reached[at] = max(reached.get(at, 0), training.epochs)
    for at, epochs in reached.items():
        if at > epochs and (among is None or at in among):
            raise UserError(
                f"{path}: training.snapshots: {at:g} is beyond training.epochs, {epochs}, so no weights are kept then. "
                "Remove it, or train longer."
            )


def _check_effects(study: "Study", path: Path) -> None:
    """Refuse settings that change nothing in any cell."""
    unread: dict[str, Any] = dict.fromkeys(_READ_IF)
    for cell in different(study.cells).values():
        for key in tuple(unread):
            section, _, name = key.partition(".")
            settings = getattr(cell, section)
            if name in type(settings).model_fields:
                value, default = getattr(settings, name), type(settings).model_fields[name].default
            else:  # an option of some parts of ours
                entry = registry.check(section, settings.name)
                if entry.external or name not in entry.options:
                    continue
                value, default = getattr(settings, name), entry.options[name].default
            if value != default:
                if _READ_IF[key][0](cell):
                    del unread[key]
                else:
                    unread[key] = value
    for key, value in unread.items():
        if value is not None:
            shown = str(value).lower() if isinstance(value, bool) else value
            raise UserError(f"{path}: {key}: {shown} changes nothing, since {_READ_IF[key][1]}. Remove it.")


def _check_until(study: "Study", path: Path) -> None:
    """Refuse an `until` that `gengap grow` could not follow: of what nobody measures, or without a range of seeds."""
    if study.until is None:
        return
    known = [*known_quantities(probe.name for probe in study.probes), *FACTS]
    if study.until.quantity not in known:
        raise unknown_name("final value", study.until.quantity, known, where=f"{path}: until.quantity")
    if not study.reduced:
        _, seeds = seeds_of(path.read_text(encoding="utf-8-sig"), path, reduced=False)
        if study.until.most < seeds:
            raise UserError(
                f"{path}: until.most: {study.until.most} is fewer than the {seeds} seeds of the grid. Raise it, or "
                "remove seeds."
            )


def _check_needs(study: "Study", part: Component, where: str) -> None:
    """Refuse a figure or table of what no probe of the study measures."""
    kind, name = part.kind, part.name
    entry = registry.check(kind, name)
    for key, least in entry.varies.items():
        if (count := len(values_of(study.cells.values(), key))) < least:
            raise UserError(
                f"{where}: '{name}' needs at least {least} values of {key}, and `grid` has {count}. Give it more, or "
                f"remove the {kind}."
            )
    until = getattr(part, entry.needs_until) if isinstance(entry.needs_until, str) else entry.needs_until
    for quantity in entry.needs:
        able = [probe for probe in study.probes if quantity in registry.check("probe", probe.name).measured]
        measuring = [one for one, probe in registry.REGISTRY["probe"].items() if quantity in probe.measured]
        if not measuring:
            known = sorted({one for probe in registry.REGISTRY["probe"].values() for one in probe.measured})
            raise UserError(
                f"{entry.path}: PART: needs: no probe measures '{quantity}'.{hint(quantity, known)} Name what a probe "
                "measures; of a value that follows from others, such as train_error, name those (train_accuracy)."
            )
        if not able:
            raise UserError(
                f"{where}: '{name}' shows the quantity '{quantity}', which no probe of this study measures. Add "
                f"{' or '.join(measuring)} to `probes`, or remove the {kind}."
            )
        if until is not None and not any(at <= until for probe in able for at in _measured_epochs(study, probe)):
            raise UserError(
                f"{where}: '{name}' shows '{quantity}' at epochs up to {until:g}, at which '{able[0].name}' does not "
                f"measure it. Let {able[0].name} measure at `epochs: snapshots`, or remove the {kind}."
            )


def _check_quantities(study: "Study", part: Component, where: str) -> None:
    """Refuse names, in the options of a figure or table, of what nobody measures."""
    measured = known_quantities(probe.name for probe in study.probes)
    for key, option in registry.check(part.kind, part.name).options.items():
        for name in getattr(part, key) if option.type == "quantities" else ():
            if name not in QUANTITIES:
                raise unknown_name("quantity", name, measured, where=f"{where}: {part.name}: {key}")
            able = [one for one, probe in registry.REGISTRY["probe"].items() if name in probe.measured]
            if able and name not in measured:
                raise UserError(
                    f"{where}: {part.name}: {key}: no probe of this study measures '{name}'. Add {' or '.join(able)} "
                    "to `probes`, or name another quantity."
                )


def _measured_epochs(study: "Study", probe: "Probe") -> Iterator[float]:
    if not isinstance(probe.epochs, str):
        yield from probe.epochs
        return
    for cell in {id(cell.training): cell for cell in study.cells.values()}.values():
        yield from kept_epochs(cell) if probe.epochs == "snapshots" else (float(cell.training.epochs),)


def _sections(study: "Study", section: str) -> list[Any]:
    """The different sections of a study's cells, which share them."""
    return list({id(found): found for cell in study.cells.values() if (found := getattr(cell, section))}.values())


def check_teachers(study: "Study", path: Path) -> None:
    """Refuse losses without the teacher that they need, and probes for which no cell has one."""
    rules = " or ".join(name for name, entry in registry.REGISTRY["labels"].items() if entry.teacher)
    cells = different(study.cells)
    taught = {name: registry.check("labels", cell.labels.name).teacher for name, cell in cells.items()}
    for name, cell in cells.items():
        if registry.check("loss", cell.loss.name).teacher and not taught[name]:
            raise UserError(
                f"{path}: cell {name}: loss: '{cell.loss.name}' needs a teacher's outputs, and labels.name is "
                f"'{cell.labels.name}'. Set labels.name to {rules}, or choose another loss."
            )
    for probe in study.probes:
        if registry.check("probe", probe.name).teacher and not any(taught.values()):
            raise UserError(
                f"{path}: probes: '{probe.name}' compares networks with the teacher that labelled, and no cell has "
                f"one. Set labels.name to {rules}, or remove the probe."
            )


def check_streams(study: "Study", path: Path) -> None:
    """Refuse streamed images with settings that are about stored ones."""
    rules = " or ".join(name for name, entry in registry.REGISTRY["labels"].items() if entry.streams)
    for name, cell in different(study.cells).items():
        if not cell.dataset.stream:
            continue
        where = f"{path}: cell {name}: dataset.stream: true draws images while training"
        if not registry.check("labels", cell.labels.name).streams:
            raise UserError(f"{where}, and labels.name '{cell.labels.name}' cannot label them. Set it to {rules}.")
        if cell.training.batch_size == "full":
            raise UserError(f"{where}, so training.batch_size cannot be full. Give a number of samples.")
        if cell.training.augmentation != "none":
            raise UserError(f"{where}, so training.augmentation must be none, not {cell.training.augmentation}.")


def check_probe_epochs(study: "Study", path: Path) -> None:
    """Refuse epochs at which a probe is to measure and no weights are kept."""
    for probe in study.probes:
        options = registry.check("probe", probe.name).options
        asked = set(() if isinstance(probe.epochs, str) else probe.epochs)
        asked |= {getattr(probe, key) for key, option in options.items() if option.type == "epoch"}
        for cell in {id(cell.training): cell for cell in study.cells.values()}.values():
            saved = kept_epochs(cell)
            if missing := sorted(asked - saved):
                raise UserError(
                    f"{path}: probes: '{probe.name}' asks for epoch {missing[0]:g}, at which no weights are kept. "
                    f"Add it to base.training.snapshots or choose from: {', '.join(f'{e:g}' for e in sorted(saved))}."
                )
