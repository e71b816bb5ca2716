"""Whether this machine has the memory and the disk that studies need at least, before anything is made."""

import math
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from gengap import layout, registry
from gengap.counting import noun
from gengap.errors import UserError
from gengap.studies import networks
from gengap.studies.consistency import kept_epochs
from gengap.studies.feasibility import Data, draw_of, file_of, network_of, teacher_of
from gengap.studies.grid import different
from gengap.studies.names import REDUCED
from gengap.studies.networks import Facts, Network
from gengap.studies.packing import dataset_key, packs, probe_keys
from gengap.studies.settings import Cell
from gengap.studies.simulation import Point, Simulation
from gengap.studies.sizes import Sizes
from gengap.studies.study import Study

_PIXEL = 4  # bytes: images are kept in float32
_DOUBLE = 8  # bytes of a teacher's weight: it labels in float64
_LIBRARIES = 500 * 10**6  # bytes of Python, PyTorch and what they load
_COPIES = 4  # of the weights in a step: old, new, their gradient, and the optimiser's
_ROW = 150  # bytes of a history for each evaluation: six quantities of an epoch, a value and a name


def check(studies: Mapping[str, Study], store: Path, *, memory: bool = True, ask: bool = True) -> None:
    """Refuse studies that cannot run to their end here.

    Args:
        studies: The studies to be built, by name.
        store: The folder of finished networks.
        memory: Whether jobs run on this machine, so that its memory counts.
        ask: As in `gengap.studies.feasibility.check`.

    Raises:
        UserError: It names the study's file, what is needed at least and what there is.
    """
    needed: dict[Path, float] = defaultdict(float)
    for name, study in studies.items():
        data = Data(file_of(name))
        cells = different(study.cells).values()
        built = {network for cell in cells if (network := network_of(cell, data.of(cell)))}
        known = networks.facts(built, ask=ask)
        if memory:
            _check_memory(study, data, known)
            _check_teachers(study, data, ask=ask)
        names = list(packs(study))
        written = _weights(study, names, data, known) + _measured(study, names)
        needed[layout.RESULTS] += written
        needed[store] += written
    needed[layout.DATA] += _prepared(studies)
    _check_disk(needed, ", ".join(str(file_of(name)) for name in studies))


def has_nvidia_gpu() -> bool:
    """Whether an NVIDIA driver is there; PyTorch, which would know better, takes seconds to ask."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def memory_bytes() -> int:
    """Memory of this machine, or of the container in which we are."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def _check_memory(study: Study, data: Data, known: Mapping[Network, Facts]) -> None:
    """Refuse a cell that would not fit alone: more cells are trained in parts."""
    there = memory_bytes()
    for name, cell in different(study.cells).items():
        sizes = data.of(cell)
        images = sum(sizes.pool or ()) * math.prod(sizes.image_shape or ()) * _PIXEL
        where = f"{file_of(study.name)}: cell {name}:"
        if images > there:
            raise UserError(
                f"{where} the images of '{cell.dataset.name}' take {spell(images)}, and this machine has "
                f"{spell(there)} of memory. Choose fewer or smaller ones by dataset.n_train, dataset.n_test or "
                "dataset.image_size."
            )
        network = network_of(cell, sizes)
        facts = known.get(network, Facts()) if network else Facts()
        if (training := _training_bytes(cell, sizes, facts)) > there:
            raise UserError(
                f"{where} training one '{cell.model.name}' of {facts.parameters:,} weights takes at least "
                f"{spell(training)}, and this machine has {spell(there)} of memory. Choose a smaller model.width, "
                "training.batch_size or image."
            )


def _check_teachers(study: Study, data: Data, *, ask: bool) -> None:
    """Refuse a teacher whose weights alone do not fit."""
    cells = different(study.cells)
    taught = {teacher: name for name, cell in cells.items() if (teacher := teacher_of(cell, data.of(cell)))}
    for teacher, facts in networks.facts(taught, ask=ask).items():
        if (weights := facts.parameters * _DOUBLE) > memory_bytes():
            raise UserError(
                f"{file_of(study.name)}: cell {taught[teacher]}: the teacher has {facts.parameters:,} weights, which "
                f"take {spell(weights)}, and this machine has {spell(memory_bytes())} of memory. Choose a smaller "
                "labels.teacher_width."
            )


def _training_bytes(cell: Cell, sizes: Sizes, facts: Facts) -> int:
    """Bytes that one network takes while it is trained, at least."""
    n_train = sizes.n_train or 1
    size = cell.training.batch_size
    batch = min(size, n_train) if isinstance(size, int) else n_train
    return _number_bytes(cell) * (_COPIES * facts.parameters + batch * facts.outputs)


def _number_bytes(cell: Cell) -> int:
    return 8 if cell.training.weights_dtype == "float64" else 4


def _weights(study: Study, names: Iterable[str], data: Data, known: Mapping[Network, Facts]) -> float:
    """Bytes of weights and histories of a study that are not there yet."""
    total = 0.0
    each: dict[tuple[int, ...], float] = {}
    for cell in study.cells.values():
        if (key := cell.sections()) not in each:
            network = network_of(cell, data.of(cell))
            facts = known.get(network, Facts()) if network else Facts()
            rows = cell.training.epochs / cell.training.evaluate_every
            each[key] = len(kept_epochs(cell)) * facts.parameters * _number_bytes(cell) + rows * _ROW
        total += each[key]
    return max(0.0, total - sum(_size(layout.weights(study.name, pack)) for pack in names))


def _measured(study: Study, names: Iterable[str]) -> float:
    """Bytes of what probes measure that are not there yet, at least: a row for each quantity, arrays not counted."""
    total = 0.0
    snapshots = sum(len(kept_epochs(cell)) for cell in study.cells.values())
    for key, probe in probe_keys(study.probes).items():
        rows = len(registry.check("probe", probe.name).measured) * _ROW
        total += rows * (snapshots if probe.epochs == "snapshots" else len(study.cells))
        total -= sum(_size(layout.probe(study.name, pack, key)) for pack in names)
    return max(0.0, total)


def draw_bytes(simulation: Simulation, point: Point) -> int:
    """Memory that a job asks for: what its simulation declares, or, where that is more, one draw and its libraries."""
    draw = draw_of(point)
    known = networks.facts([draw], ask=False).get(draw, Facts())
    declared = registry.check("simulation", simulation.simulated).mem_mb * 10**6
    return max(declared, known.parameters * _DOUBLE + _LIBRARIES)


def check_simulations(simulations: Iterable[Simulation]) -> None:
    """Refuse simulations whose jobs ask for more memory than this machine has.

    Raises:
        UserError: It names the simulation's file, what a job asks for and what there is.
    """
    for one in simulations:
        asked, there = registry.check("simulation", one.simulated).mem_mb * 10**6, memory_bytes()
        where = layout.simulation_file(one.name.removesuffix(REDUCED))
        if asked > there:
            raise UserError(
                f"{where}: a job of '{one.simulated}' takes {spell(asked)}, and this machine has {spell(there)} of "
                "memory."
            )
        drawn = {draw_of(point): at for at, point in one.points.items()}
        for draw, facts in networks.facts(drawn).items():
            if (numbers := facts.parameters * _DOUBLE) > there:
                raise UserError(
                    f"{where}: point {drawn[draw]}: one draw of '{one.simulated}' takes {spell(numbers)}, and this "
                    f"machine has {spell(there)} of memory. Choose smaller sizes."
                )


def check_raw_files(simulations: Iterable[Simulation], data_root: Path) -> None:
    """Refuse simulations that read files which are not downloaded and are not there.

    Raises:
        UserError: It names the simulation's file, what is missing, where it is had and where it belongs.
    """
    for one in simulations:
        known = networks.facts(draw_of(point) for point in one.points.values())
        wanted = {data_root / path: address for facts in known.values() for path, address in facts.raw_files}
        if missing := {path: address for path, address in wanted.items() if not path.is_file()}:
            told = ", and ".join(f"{address} to {path.absolute()}" for path, address in missing.items())
            raise UserError(
                f"{layout.simulation_file(one.name.removesuffix(REDUCED))}: '{one.simulated}' reads "
                f"{noun(len(missing), 'a file that is', 'files that are')} not downloaded and missing. Get {told}."
            )


def _prepared(studies: Mapping[str, Study]) -> float:
    """Bytes of prepared images that are not there yet; studies share them."""
    total = 0.0
    seen: set[str] = set()
    for name, study in studies.items():
        data = Data(file_of(name))
        for cell in {id(cell.dataset): cell for cell in study.cells.values()}.values():
            sizes, path = data.of(cell), layout.prepared(dataset_key(cell))
            if str(path) not in seen and not path.exists():
                total += sum(sizes.pool or ()) * math.prod(sizes.image_shape or ()) * _PIXEL
            seen.add(str(path))
    return total


def _check_disk(needed: Mapping[Path, float], files: str) -> None:
    """Refuse what does not fit; folders of one file system share its space."""
    disks: dict[int, list[tuple[Path, float]]] = defaultdict(list)
    for folder, size in needed.items():
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        disks[existing.stat().st_dev].append((existing, size))
    for parts in disks.values():
        total, folder = sum(size for _, size in parts), parts[0][0]
        if total > (free := shutil.disk_usage(folder).free):
            raise UserError(
                f"{files}: at least {spell(total)} are to be written, and {folder} has {spell(free)} free. Free some "
                "space, or keep fewer training.snapshots, cells or images."
            )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def spell(n_bytes: float) -> str:
    """A number of bytes as one reads it."""
    units: Iterable[tuple[float, str]] = ((1e18, "EB"), (1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"))
    for unit, name in units:
        if n_bytes >= unit:
            return f"{n_bytes / unit:,.1f} {name}"
    return f"{n_bytes / 1e3:,.0f} kB"
