"""Training packs of cells."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gengap import layout, losses, models
from gengap.counting import count, noun
from gengap.engine import device as devices
from gengap.engine import precision, stack
from gengap.engine.evaluation import initialization
from gengap.engine.stack import Architecture
from gengap.errors import UnreadableError, UserError
from gengap.files import cell_locks, store_access
from gengap.labels import Digests, LabelledData
from gengap.logs import log
from gengap.progress import Pace
from gengap.studies.identity import cell_identity
from gengap.studies.settings import Cell
from gengap.training import (
    after,
    cell_result,
    cell_store,
    data_stream,
    learning_rates,
    loop,
    memory_budget,
    pack_state,
    resume,
)
from gengap.training.cell_result import CellResult

_NAMED = 5  # cells that a warning names


@dataclass(frozen=True)
class RunOptions:
    """Where and how a pack is trained.

    Attributes:
        device: ``auto``, ``cpu`` or ``cuda``.
        compile_step: ``auto`` compiles where the work is worth it; ``on``; ``off``.
        step: ``stacked``: all networks in one call; ``fused``: the same by the kernels of `gengap.training.fused_step`
            where they know all layers; ``plain``: one by one, as `gengap.training.plain_step` has it;
            ``auto``: plain on a GPU that one of them fills alone; on a CPU fused where `fuses` says so, and that of
            `gengap.training.sparse_step` where few weights are left.
        store_folder: Finished cells of all studies, and packs that were interrupted; None keeps none.
        store_group: The group of users that share the store; empty: nobody else may write it.
        save_seconds: How often an unfinished pack is saved.
        memory_limit: Bytes that this process may take on a CPU; None: what is free. A pack that would take more is
            trained in parts.
    """

    device: str = "auto"
    compile_step: str = "auto"
    step: str = "auto"
    store_folder: Path | None = None
    store_group: str = ""
    save_seconds: float = resume.INTERVAL_SECONDS
    memory_limit: int | None = None


_DEFAULTS = RunOptions()


def train_pack(
    cells: Mapping[str, Cell],
    data: LabelledData,
    weights: Path,
    history: Path,
    options: RunOptions = _DEFAULTS,
    *,
    origins: Sequence[Path] = (),
    provenance: Mapping[str, Any] | None = None,
) -> Pace:
    """Train the cells of a pack, except those that its files or the store already hold.

    Args:
        cells: Settings by name; they must share all that `gengap.studies.packing.shape_key` names.
        data: Their labelled data.
        weights: HDF5 file of checkpoints, replaced as a whole.
        history: HDF5 file of learning curves and cell facts, replaced as a whole.
        options: Where and how.
        origins: Weights of the packs that hold the networks which these come after.
        provenance: Stored in both files.

    Returns:
        Training samples that passed through networks in this call, summed over networks and epochs, and their time.

    Raises:
        UserError: If the loss does not fit the labels, a file cannot be written, or the process was asked to end.
    """
    if options.store_folder:
        store_access.make(options.store_folder, options.store_group)
    device = devices.choose(options.device)
    first = next(iter(cells.values()))
    n_outputs = losses.n_outputs(first.loss, data.n_classes)
    image_shape = (data.train_images.shape[1], data.train_images.shape[2], data.train_images.shape[3])
    arch = stack.architecture(models.build(first.model, image_shape, n_outputs))
    digest = data.digest_for(first.loss)
    identities = identities_of(cells, data.digests)
    done = _finished(cells, identities, weights, history, options.store_folder)
    log.info("%d of %d cells are to be trained, %d were found finished", len(cells) - len(done), len(cells), len(done))
    savers: list[resume.Saver] = []
    passed = Pace()
    if len(done) < len(cells):
        dtype = getattr(torch, first.training.weights_dtype)
        job = _Job(
            cells,
            identities,
            arch,
            on_device(data, list(cells.values()), dtype, device),
            n_outputs,
            options,
            done,
            savers,
            origins,
        )

        def train(names: Sequence[str]) -> None:
            nonlocal passed
            passed += job.train(names)

        n_train = len(data.train_images)
        most = learning_rates.one_that_measures(cells.values())
        each, shared = memory_budget.predicted_bytes(arch, most, image_shape, n_train, n_outputs, device)
        free = memory_budget.free_bytes(device, options.memory_limit)
        memory_budget.in_parts(list(cells), each, shared, free, train)
    where = {**(provenance or {}), "device": devices.describe(device), "data_digest": digest}
    where["pack"] = cell_result.pack_digest(identities.values())
    cell_result.write([done[name] for name in cells], weights, history, image_shape, n_outputs, where)
    # What a job that failed after its last step has saved is found here by the next one, which has nothing to train.
    for saver in savers or [resume.Saver(_unfinished(options.store_folder, list(identities.values())))]:
        saver.remove()
    return passed


@dataclass(frozen=True)
class _Job:
    """The cells of a pack that are to be trained.

    Attributes:
        cells: Settings of all cells by name.
        identities: Their identities.
        arch: Their architecture.
        data: Their data on the device.
        n_outputs: Outputs of every network.
        options: Where and how.
        done: Finished cells, which `train` adds to.
        savers: Of the parts that were trained, which `train` adds to.
        origins: Weights of the packs that hold the networks which these come after.
    """

    cells: Mapping[str, Cell]
    identities: Mapping[str, str]
    arch: Architecture
    data: loop.Data
    n_outputs: int
    options: RunOptions
    done: dict[str, CellResult]
    savers: list[resume.Saver]
    origins: Sequence[Path]

    def train(self, names: Sequence[str]) -> Pace:
        """Train the named cells together, except those that another job trains meanwhile."""
        passed, store = Pace(), self.options.store_folder
        while missing := {name: self.cells[name] for name in names if name not in self.done}:
            with _locked(store, [self.identities[name] for name in missing]) as locked:
                mine = {name: cell for name, cell in missing.items() if self.identities[name] in locked}
                self.done.update(_stored(mine, self.identities, store))  # by another job, since we looked
                todo = [
                    CellResult(name, cell, self.identities[name], self.arch.n_parameters)
                    for name, cell in mine.items()
                    if name not in self.done
                ]
                if todo:
                    # Known by all of its cells: those that are in the store already change no name.
                    path = _unfinished(store, [self.identities[name] for name in names])
                    passed += self._train_together(todo, resume.Saver(path, self.options.save_seconds))
        return passed

    def _train_together(self, todo: list[CellResult], saver: resume.Saver) -> Pace:
        """Train cells from their start, or from where they were saved, and store them."""
        saved = resume.read(saver.path, todo, self.data.train_images.device)
        pack, results = saved or (self._start(todo), todo)
        with saver.listening():
            how = {"compile_step": self.options.compile_step, "step": self.options.step}
            with precision.tensor_float32(False):  # but in the steps of cells that ask for it
                passed = loop.train(pack, results, self.arch, self.data, saver, **how)
        mine = {result.identity for result in todo}  # a saved pack may hold more, under names of another day
        self.done.update({result.name: result for result in results if result.identity in mine})
        if self.options.store_folder:
            for result in results:
                cell_store.put(self.options.store_folder, result)
        _warn(results)
        self.savers.append(saver)
        if self.options.store_folder:  # without, what was trained is kept only by what follows
            saver.end()
        return passed

    def _start(self, results: list[CellResult]) -> pack_state.PackState:
        """The stack before its first step."""
        images, targets = self.data.train_images, self.data.train_targets
        cells = [result.cell for result in results]
        drawn = initialization.start(self.arch, after.drawn(cells), images, targets, self.n_outputs)
        state, masks = after.start(cells, self.arch, drawn, self.origins)
        return pack_state.start(results, self.arch, state, masks)


def _warn(results: Sequence[CellResult]) -> None:
    """Name cells that did not finish; of hundreds, the first."""
    for status in ("dead", "diverged"):
        if named := [f"{r.name} after {count(r.epochs_trained, 'epoch')}" for r in results if r.status == status]:
            more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
            log.warning(
                "%d of %s %s %s: %s%s",
                len(named),
                count(len(results), "cell"),
                noun(len(named), "is", "are"),
                status,
                "; ".join(named[:_NAMED]),
                more,
            )


def on_device(data: LabelledData, cells: Sequence[Cell], dtype: torch.dtype, device: torch.device) -> loop.Data:
    """Move a labelled data set to the device, its labels or the teacher's outputs as the cells' loss wants them.

    Raises:
        UserError: If the images are streamed and no network labels them.
    """
    train_targets, test_targets = data.targets(cells[0].loss)
    stream = None
    if cells[0].dataset.stream:
        if data.teacher is None:
            raise UserError(
                "dataset.stream: true draws images without labels. Set labels.name to a rule with a teacher."
            )
        channels, height, width = data.train_images.shape[1:]
        stream = data_stream.data_stream(cells, data.teacher, (channels, height, width), dtype, device)
    return loop.Data(
        stream=stream,
        train_images=data.train_images.to(device, dtype),
        train_targets=train_targets.to(device),
        test_images=data.test_images.to(device, dtype),
        test_targets=test_targets.to(device),
        patches=data.patches and data.patches.to(device, dtype),
    )


def outstanding(
    cells: Mapping[str, Cell], data: Digests, weights: Path, history: Path, store_folder: Path | None
) -> list[str]:
    """Names of the cells that `train_pack` would have to train; nothing but their identities is read.

    Args:
        cells: Settings by name.
        data: Digests of their labelled data.
        weights: See `train_pack`.
        history: See `train_pack`.
        store_folder: See `RunOptions`.
    """
    identities = identities_of(cells, data)
    in_files = in_own_files(identities, weights, history)
    stored = {name for name in cells if store_folder and layout.stored_cell(store_folder, identities[name]).exists()}
    return [name for name in cells if name not in in_files and name not in stored]


def identities_of(cells: Mapping[str, Cell], data: Digests) -> dict[str, str]:
    """The identity of every cell; see `gengap.studies.identity.cell_identity`."""
    return {name: cell_identity(cell, data.for_loss(cell.loss)) for name, cell in cells.items()}


def in_own_files(identities: Mapping[str, str], weights: Path, history: Path) -> dict[str, str]:
    """The cells that a pack's files hold as they are wanted, each with the name that it has there.

    An axis more, or another name of an arm, gives a cell another name, and it is the same network.
    """
    if not (weights.exists() and history.exists()):
        return {}
    try:
        found = cell_result.read_identities(history)
    except UnreadableError:
        raise
    except UserError as error:
        log.warning("%s Its cells are looked for in the store, or trained again.", error)
        return {}
    there = {identity: name for name, identity in found.items()}
    return {name: there[identity] for name, identity in identities.items() if identity in there}


def _finished(
    cells: Mapping[str, Cell], identities: Mapping[str, str], weights: Path, history: Path, store_folder: Path | None
) -> dict[str, CellResult]:
    """Cells that an earlier run of the same code on the same data has trained."""
    done: dict[str, CellResult] = {}
    if own := in_own_files(identities, weights, history):
        try:
            found = cell_result.read({there: cells[name] for name, there in own.items()}, weights, history)
        except UnreadableError:
            raise
        except UserError as error:
            log.warning("%s Its cells are looked for in the store, or trained again.", error)
        else:
            done = {name: replace(found[there], name=name) for name, there in own.items() if there in found}
    return done | _stored({n: cell for n, cell in cells.items() if n not in done}, identities, store_folder)


def _stored(
    cells: Mapping[str, Cell], identities: Mapping[str, str], store_folder: Path | None
) -> dict[str, CellResult]:
    if store_folder is None:
        return {}
    stored = {name: cell_store.get(store_folder, identities[name], name, cell) for name, cell in cells.items()}
    return {name: result for name, result in stored.items() if result is not None}


def _locked(store_folder: Path | None, wanted: Sequence[str]) -> AbstractContextManager[list[str]]:
    """Identities that no other job with this store trains meanwhile; waits if they are all being trained."""
    return cell_locks.locked(layout.cell_locks(store_folder), wanted) if store_folder else nullcontext(list(wanted))


def _unfinished(store_folder: Path | None, identities: Sequence[str]) -> Path | None:
    """Where cells that are trained together are saved while they are."""
    if store_folder is None:
        return None
    return layout.unfinished(store_folder) / f"{cell_result.pack_digest(identities)}.h5"
