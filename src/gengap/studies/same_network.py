"""Settings that are written differently and train the same network: a figure would show them as two points."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gengap import registry
from gengap.errors import UserError
from gengap.studies.grid import format_value
from gengap.studies.settings import ARM, After, Cell, Model, Optimizer, Schedule, Training
from gengap.studies.sizes import Sizes

if TYPE_CHECKING:
    from gengap.studies.study import Study

_EPS = {"adam": 1e-8, "adagrad": 1e-10}  # what null stands for, as in PyTorch
_OF_EPOCHS = ("constant", "cosine", "linear", "multistep")  # schedules that no measurement decides
# What is recorded of a network, and changes none of its weights.
_RECORDED = ("snapshots", "evaluate_every", "batchnorm")


def check(study: "Study", data: Callable[[Cell], Sizes], path: Path) -> list[str]:
    """Refuse two cells that train the same network.

    Args:
        study: The study.
        data: The sizes of a cell's data.
        path: The study's file, for the message.

    Returns:
        Warnings, of cells that differ only in what is recorded of one network.

    Raises:
        UserError: It names both cells, and what they differ in to no effect.
    """
    meant, trained = _Numbers(), _Numbers()
    first: dict[tuple[int, int], str] = {}
    recorded: dict[tuple[int, int], str] = {}
    alike: tuple[str, str] | None = None
    for name, cell in study.cells.items():
        size = data(cell)
        if (other := first.setdefault((meant.of(cell, size), cell.seed), name)) != name:
            raise UserError(
                f"{path}: grid: cells '{other}' and '{name}' train the same network: "
                f"{_difference(study.cells[other], cell, size)} Remove one of them."
            )
        if not _watched(cell):
            other = recorded.setdefault((trained.of(cell, size, bare=True), cell.seed), name)
            if other != name and alike is None:
                alike = other, name
    if alike is None:
        return []
    return [f"{path}: grid: cells '{alike[0]}' and '{alike[1]}' train the same network, and record other things of it."]


class _Numbers:
    """A number for the settings of a cell but its seed, as they are meant; equal ones for what means the same."""

    def __init__(self) -> None:
        self._of_cells: dict[tuple[int, ...], int] = {}
        self._known: dict[tuple[int, int, Sizes], int] = {}
        self._numbers: dict[Any, int] = {}
        self._alive: list[Any] = []  # or another section could get the same address

    def of(self, cell: Cell, data: Sizes, *, bare: bool = False) -> int:
        """The number of a cell."""
        sections = cell.sections()
        if sections not in self._of_cells:
            self._alive.append(cell)
            parts = tuple(
                self._section(name, cell, data, bare=bare) for name in Cell.model_fields if name not in (ARM, "seed")
            )
            self._of_cells[sections] = self._numbers.setdefault(parts, len(self._numbers))
        return self._of_cells[sections]

    def _section(self, section: str, cell: Cell, data: Sizes, *, bare: bool) -> int:
        settings = getattr(cell, section)
        key = id(settings), id(cell.schedule), data
        if key not in self._known:
            self._alive += settings, cell.schedule
            same = meaning(settings, data, changing=changes_rate(cell))
            if bare and isinstance(same, Training):
                same = same.model_copy(update={name: Training.model_fields[name].default for name in _RECORDED})
            self._known[key] = self._numbers.setdefault((section, same), len(self._numbers))
        return self._known[key]


def meaning(settings: Any, data: Sizes, *, changing: bool) -> Any:
    """A section with everything in one spelling: what null stands for written out, what has no effect left out.

    Args:
        settings: The section.
        data: The sizes of the cell's data.
        changing: Whether the cell's learning rate changes.
    """
    update: dict[str, Any] = {}
    if isinstance(settings, Training):
        update = _training(settings, data.n_train)
    elif isinstance(settings, Optimizer):
        update = {
            "nesterov": settings.nesterov and settings.momentum > 0,
            "momentum_correction": settings.momentum_correction or settings.momentum == 0 or not changing,
            "eps": settings.eps or _EPS.get(settings.name),
        }
    elif isinstance(settings, Schedule) and _is_constant(settings):
        return Schedule(name="constant")
    elif isinstance(settings, After):
        update = {"origin": ""}  # a name; whose settings are in `cell`
    elif isinstance(settings, Model):
        update = _model(settings)
    elif hasattr(settings, "image_size") and data.image_shape:
        update = {"image_size": data.image_shape[1]}
    elif hasattr(settings, "train_size") and data.n_train:
        update = {"train_size": data.n_train, "test_size": data.n_test or settings.test_size}
        update |= {"classes": data.classes} if data.classes is not None else {}
    return settings.model_copy(update=update)


def changes_rate(cell: Cell) -> bool:
    """Whether a cell's learning rate is another one at any step."""
    return cell.schedule.warm_up > 0 or not (cell.schedule.name == "constant" or _is_constant(cell.schedule))


def _model(model: Model) -> dict[str, Any]:
    entry = registry.check("model", model.name)
    bare = "batchnorm" in entry.reads and "none" in (model.norm, model.batchnorm)
    update: dict[str, Any] = {"depth": model.depth or entry.depth}
    update |= {"norm": "batch", "batchnorm": "none"} if bare else {}
    if bare or model.norm != "group":
        update["group_size"] = Model.model_fields["group_size"].default
    return update


def _training(training: Training, n_train: int | None) -> dict[str, Any]:
    batch = _batch(training.batch_size, n_train)
    switched = training.switch_epoch is not None and training.switch_epoch < training.epochs
    restarts = switched and training.restart_at_switch
    switches = switched and (restarts or _batch(training.switch_batch_size, n_train) != batch)
    noisy = training.noise_std > 0
    fading = noisy and training.noise_factor < 1 and bool(training.noise_milestones)
    exact = training.step_batchnorm == "exact"
    return {
        "batch_size": batch,
        "switch_epoch": training.switch_epoch if switches else None,
        "switch_batch_size": _batch(training.switch_batch_size, n_train) if switches else 1,
        "restart_at_switch": restarts,
        "noise_mode": training.noise_mode if noisy else "shared",
        "noise_factor": training.noise_factor if fading else 1.0,
        "noise_milestones": training.noise_milestones if fading else (),
        "statistics_steps": training.statistics_steps if exact else None,
        "projection": training.projection if training.subspace else "sparse",
        "snapshots": tuple(sorted(at for at in training.snapshots if 0 < at < training.epochs)),
    }


def _batch(size: int | str, n_train: int | None) -> int | str:
    if n_train is None:
        return size
    return min(size, n_train) if isinstance(size, int) else n_train


def _is_constant(schedule: Schedule) -> bool:
    """Whether a schedule never changes the learning rate."""
    return (schedule.name in ("cosine", "linear") and schedule.final == 1) or (
        schedule.name == "multistep" and not schedule.milestones
    )


def _watched(cell: Cell) -> bool:
    """Whether what is recorded while training may decide how it goes on."""
    training = cell.training
    stops = training.stop_accuracy is not None or training.stop_loss is not None
    return stops or cell.schedule.name not in _OF_EPOCHS


def _difference(one: Cell, other: Cell, data: Sizes) -> str:
    """In what two cells differ to no effect, and why."""
    lines = []
    for key, first, second in _differing(one, other):
        why = ""
        if key in ("training.batch_size", "training.switch_batch_size") and data.n_train:
            why = f", and the training set has {data.n_train:,} images"
        lines.append(f"{key} is {_shown(first)} and {_shown(second)}{why}, which comes to the same.")
    return " ".join(lines)


def _differing(one: Cell, other: Cell) -> Iterator[tuple[str, Any, Any]]:
    for section, settings in one:
        theirs = getattr(other, section)
        if section == ARM or settings == theirs:
            continue
        for key in type(settings).model_fields:
            if getattr(settings, key) != getattr(theirs, key):
                yield f"{section}.{key}", getattr(settings, key), getattr(theirs, key)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return format_value(value)
