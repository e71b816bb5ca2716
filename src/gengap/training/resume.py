"""An interrupted pack: all that its loop needs to resume, and to end with the bits of an uninterrupted run."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from gengap.errors import UnreadableError, UserError
from gengap.files import storage
from gengap.logs import log
from gengap.training import serialization
from gengap.training.cell_result import CellResult
from gengap.training.pack_state import PackState
from gengap.training.step import NetworkState

INTERVAL_SECONDS = 60.0


class InterruptionError(UserError):
    """Training was asked to end; what it had done is saved."""


class Saver:
    """Saves a pack at intervals and when the process is asked to end (SIGTERM, as at a cluster's time limit; Ctrl-C).

    Args:
        path: Where; None never saves.
        interval: Seconds between saves.
    """

    def __init__(self, path: Path | None, interval: float = INTERVAL_SECONDS) -> None:
        self.path, self._interval = path, interval
        self._last = time.monotonic()
        self._signal: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Notice SIGTERM and SIGINT, and leave it to `step` to act between two training steps."""

        def notice(number: int, frame: object) -> None:
            self._signal = number

        before = {number: signal.signal(number, notice) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def step(self, pack: PackState, results: Sequence[CellResult]) -> None:
        """Call between training steps: saves if it is time.

        Raises:
            InterruptionError: If the process was asked to end; the pack has been saved.
        """
        if self._signal is None and time.monotonic() - self._last < self._interval:
            return
        if self.path is not None:
            write(self.path, pack, results)
        self._last = time.monotonic()
        self._stop_if_asked(f"at epoch {pack.epoch}, step {pack.step}")

    def end(self) -> None:
        """Call when all results are stored.

        Raises:
            InterruptionError: If the process was asked to end after the last step.
        """
        self._stop_if_asked("after the last step")

    def _stop_if_asked(self, when: str) -> None:
        if self._signal is not None:
            name = signal.Signals(self._signal).name
            raise InterruptionError(f"stopped by {name} {when}. Run it again to go on from there.")

    def remove(self) -> None:
        """Forget the saved pack: its results are written."""
        if self.path is None:
            return
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: cannot be removed (%s), and is needed no more", self.path, error.strerror)


def write(path: Path, pack: PackState, results: Sequence[CellResult]) -> None:
    """Save a pack between two steps."""
    slots = [next(slot for slot, result in enumerate(results) if result is own) for own in pack.results]
    with storage.writing(path, "unfinished", {}) as file:
        file.attrs.update(epoch=pack.epoch, step=pack.step, compiled=pack.compiled)
        # Datasets: an attribute holds no more than 64 KB, which thousands of networks have.
        for name, values in (("places", slots), ("curvature", pack.curvature), ("products", pack.products)):
            file[name] = np.array(values)
        serialization.write_results(file.create_group("records"), results)
        _write_tensors(file.create_group("parameters"), pack.networks.parameters)
        _write_tensors(file.create_group("buffers"), pack.networks.buffers)
        memory = file.create_group("memory")  # empty for an optimiser that keeps nothing
        for kind, tensors in pack.networks.optimizer_state.items():
            _write_tensors(memory.create_group(kind), tensors)


def read(
    path: Path | None, wanted: Sequence[CellResult], device: torch.device
) -> tuple[PackState, list[CellResult]] | None:
    """Read a saved pack.

    Args:
        path: Where it may be; None finds nothing.
        wanted: The cells to train, empty results; the saved pack must have them all. They are known by their
            identities, since the study may have given other names to its cells.
        device: Where its tensors go.

    Returns:
        The stack in training and the results of all its cells; None if there is no saved pack that helps.

    Raises:
        UnreadableError: If the system cannot read a saved pack, which may be sound.
    """
    if path is None or not path.exists():
        return None
    try:
        with storage.reading(path, "unfinished") as file:
            results = serialization.read_results(file["records"])
            pack = PackState(
                results=[results[slot] for slot in file["places"][()]],
                networks=NetworkState(
                    parameters=_read_tensors(file["parameters"], device),
                    buffers=_read_tensors(file["buffers"], device),
                    optimizer_state={kind: _read_tensors(part, device) for kind, part in file["memory"].items()},
                ),
                curvature=[float(value) for value in file["curvature"][()]],
                products=[int(count) for count in file["products"][()]],
                epoch=int(file.attrs["epoch"]),
                step=int(file.attrs["step"]),
                compiled=bool(file.attrs["compiled"]),
            )
    except UnreadableError:
        raise
    except (UserError, ValueError, OSError, KeyError) as error:
        log.warning("%s cannot be used (%s); training starts from the beginning", path, error)
        return None
    named = {result.identity: result for result in wanted}
    if not set(named) <= {result.identity for result in results}:
        return None
    for result in results:
        if own := named.get(result.identity):
            result.name, result.cell = own.name, own.cell
    log.info("going on from epoch %d, step %d", pack.epoch, pack.step)
    return pack, results


def _write_tensors(group: h5py.Group, tensors: dict[str, Tensor]) -> None:
    for name, value in tensors.items():
        group[name] = value.detach().cpu().numpy()


def _read_tensors(group: h5py.Group, device: torch.device) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.asarray(array)).to(device) for name, array in storage.read_arrays(group).items()}
