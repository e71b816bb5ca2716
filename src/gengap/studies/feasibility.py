"""Whether studies can be run at all: settings against the dataset's own sizes, and against the networks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gengap import layout, registry
from gengap.counting import count
from gengap.errors import UserError
from gengap.studies import moments, networks, same_network
from gengap.studies.grid import different, format_value
from gengap.studies.names import REDUCED
from gengap.studies.networks import Built, Draw, Facts, Network, TeacherNetwork
from gengap.studies.packing import packs
from gengap.studies.settings import Cell
from gengap.studies.simulation import NORMAL, Point, Simulation, dataset_of
from gengap.studies.sizes import Sizes, check_loss, sizes
from gengap.studies.study import Study
from gengap.studies.validation import reduced_section

MOST_JOBS = 10_000  # of a study
# Settings of labels on which the shape of a teacher's network does not depend.
NOT_ITS_SHAPE = ("train_size", "test_size", "teacher_seed", "teacher_tries", "margin", "minority_share")
CHUNK = 1000  # images of a probe that share their statistics in BatchNorm mode `batch`


class Data:
    """The sizes of the data of a study's cells, each found once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sizes: dict[tuple[int, int], Sizes] = {}
        self._checked: set[tuple[int, int, int]] = set()

    def of(self, cell: Cell, name: str = "") -> Sizes:
        """The sizes of a cell's data.

        Raises:
            UserError: If its settings ask for what the dataset has not, or its loss is for other labels.
        """
        where = f"{self._path}: cell {name}: " if name else f"{self._path}: "
        key = id(cell.dataset), id(cell.labels)
        if key not in self._sizes:
            self._sizes[key] = sizes(cell.dataset, cell.labels, where)
        if (*key, id(cell.loss)) not in self._checked:
            check_loss(cell.loss, self._sizes[key], where)
            self._checked.add((*key, id(cell.loss)))
        return self._sizes[key]


def check(studies: Mapping[str, Study], *, ask: bool = True) -> dict[str, list[str]]:
    """Refuse what cannot be trained, or trains something else than it says.

    Args:
        studies: Studies by name.
        ask: Whether PyTorch may be asked about networks that nobody asked about before.

    Returns:
        Warnings by study.

    Raises:
        UserError: The message names file, cell, key and value.
    """
    data = {name: Data(file_of(name)) for name in studies}
    built = {}
    for name, study in studies.items():
        with reduced_section(file_of(name), applied=study.reduced):
            _check_jobs(study, file_of(name))
            built[name] = _networks(study, data[name])
    found = networks.facts((network for of_study in built.values() for network in of_study), ask=ask)
    known = {network: facts for network, facts in found.items() if isinstance(network, Network)}
    warnings: dict[str, list[str]] = {}
    for name, study in studies.items():
        path = file_of(name)
        with reduced_section(path, applied=study.reduced):
            for network, cell in built[name].items():
                if network in found and (error := found[network].error):
                    teacher = "the teacher: " if isinstance(network, TeacherNetwork) else ""
                    raise UserError(f"{path}: cell {cell}: {teacher}{error}")
            warnings[name] = _check_batches(study, data[name], known, path)
            _check_exact(study, data[name], known, path)
            warnings[name] += _check_pruning(study, data[name], known, path)
            warnings[name] += same_network.check(study, data[name].of, path)
    return warnings


def check_draws(simulations: Mapping[str, Simulation], *, ask: bool = True) -> None:
    """Refuse simulations whose points cannot be drawn.

    Raises:
        UserError: The message names file, point, key and value.
    """
    for name, simulation in simulations.items():
        path = layout.simulation_file(name.removesuffix(REDUCED))
        drawn = {draw_of(point): at for at, point in simulation.points.items()}
        for draw, facts in networks.facts(drawn, ask=ask).items():
            if facts.error:
                raise UserError(f"{path}: point {drawn[draw]}: {facts.error}")


def draw_of(point: Point) -> Draw:
    """What is drawn at a point of a simulation's grid; all seeds are one."""
    name = dataset_of(point)
    images = registry.check("dataset", name).images if name != NORMAL else ()
    data = None
    if images:
        n_train, n_test, channels, size, n_classes = images
        data = Sizes(pool=(n_train, n_test), image_shape=(channels, size, size), n_classes=n_classes)
    return Draw(point.model_copy(update={"seeds": (0,)}), data)


def _check_jobs(study: Study, path: Path) -> None:
    """Refuse more jobs than Snakemake plans in a minute."""
    each = 1 + len(study.probes)
    if len(study.cells) * each <= MOST_JOBS:
        return
    if (jobs := len(packs(study)) * each) > MOST_JOBS:
        raise UserError(
            f"{path}: has {jobs:,} jobs, to train {count(jobs // each, 'pack')} and to measure "
            f"{count(len(study.probes), 'probe')} on each, and at most {MOST_JOBS:,} can be planned. Raise pack_size, "
            f"now {study.pack_size}, or vary less of what the cells of a pack must share, such as the model, the data "
            "and the batch size."
        )


def file_of(study: str) -> Path:
    """The file of a study, full or reduced."""
    return layout.study_file(study.removesuffix(REDUCED))


def network_of(cell: Cell, data: Sizes) -> Network | None:
    """What a cell's network is built from; None where its data are not known yet."""
    if data.image_shape is None or data.n_classes is None:
        return None
    return Network(cell.model, cell.loss, data.image_shape, data.n_classes)


def teacher_of(cell: Cell, data: Sizes) -> TeacherNetwork | None:
    """What the network that labels a cell's data is built from; None where none does, or the images are not known."""
    if data.image_shape is None or not registry.check("labels", cell.labels.name).teacher:
        return None
    shared = {key: field.default for key, field in type(cell.labels).model_fields.items() if key in NOT_ITS_SHAPE}
    return TeacherNetwork(cell.labels.model_copy(update=shared), data.image_shape)


def _networks(study: Study, data: Data) -> dict[Built, str]:
    """The different networks of a study and its teachers, each with the name of a cell."""
    seen: set[tuple[int, ...]] = set()
    found: dict[Built, str] = {}
    for name, cell in different(study.cells).items():
        own = data.of(cell, name)
        key = tuple(id(section) for section in (cell.model, cell.loss, cell.dataset, cell.labels))
        for network in (network_of(cell, own), teacher_of(cell, own)) if key not in seen else ():
            if network:
                found.setdefault(network, name)
        seen.add(key)
    return found


def _check_batches(study: Study, data: Data, known: Mapping[Network, Facts], path: Path) -> list[str]:
    """Refuse batches of which a BatchNorm layer cannot take statistics; warn of those that are larger than the data."""
    warnings: list[str] = []
    said: set[str] = set()
    seen: set[tuple[int, ...]] = set()
    for name, cell in different(study.cells).items():
        sections = (cell.training, cell.model, cell.loss, cell.dataset, cell.labels, cell.schedule, cell.optimizer)
        key = tuple(id(section) for section in sections)
        if key in seen:
            continue
        seen.add(key)
        own = data.of(cell, name)
        network = network_of(cell, own)
        facts = known.get(network, Facts()) if network else Facts()
        where = f"{path}: cell {name}: "
        _check_statistics(cell, own.n_train, facts, where)
        if (size := cell.training.subspace) is not None and 0 < facts.parameters < size:
            raise UserError(
                f"{where}training.subspace: {size:,} is more than the {facts.parameters:,} weights of "
                f"'{cell.model.name}'. Choose fewer."
            )
        if cell.training.noise_std > 0 and facts.parameters and not facts.relus:
            raise UserError(
                f"{where}training.noise_std: {cell.training.noise_std:g} is the noise before every ReLU, and "
                f"'{cell.model.name}' has none here. Set it to 0, or choose another model or model.activation."
            )
        warnings += [f"{where}{one}" for one in moments.unusual(cell, own) if one not in said]
        said.update(moments.unusual(cell, own))
        for setting in ("batch_size", "switch_batch_size"):
            size = getattr(cell.training, setting)
            used = setting == "batch_size" or cell.training.switch_epoch is not None
            if own.n_train and isinstance(size, int) and size > own.n_train and used:
                warnings.append(
                    f"{where}training.{setting}: {size:,} is more than the {own.n_train:,} training images, so every "
                    "step takes all of them. Write full, or a smaller number."
                )
        _check_chunks(study, cell, own.n_train, facts, where)
    _check_samples(study, data, path)
    return warnings


def _check_statistics(cell: Cell, n_train: int | None, facts: Facts, where: str) -> None:
    """BatchNorm over one number puts out its shift whatever the number is: the layers before it learn nothing."""
    if facts.batchnorm != 1:
        return
    if cell.training.step_batchnorm == "exact":
        if n_train == 1:
            raise UserError(
                f"{where}labels.train_size: 1 gives BatchNorm one number, of which it cannot take statistics."
            )
        return
    used = {"batch_size": cell.training.batch_size}
    if cell.training.switch_epoch is not None:
        used["switch_batch_size"] = cell.training.switch_batch_size
    for setting, size in used.items():
        first, last = _batches(size, n_train)
        if first == 1:
            raise UserError(
                f"{where}training.{setting}: {size} gives '{cell.model.name}' batches of one image, of which a "
                "BatchNorm layer takes the statistics of one number: it puts out a constant, and the layers before it "
                "learn nothing. Choose 2 or more, or training.step_batchnorm: exact, or a model without BatchNorm."
            )
        if last == 1:
            raise UserError(
                f"{where}training.{setting}: {size} leaves a last batch of one of {n_train:,} training images, of "
                f"which a BatchNorm layer of '{cell.model.name}' takes the statistics of one number. Choose "
                "another batch size or labels.train_size, or training.step_batchnorm: exact."
            )


def _check_exact(study: Study, data: Data, known: Mapping[Network, Facts], path: Path) -> None:
    """Refuse statistics for steps of networks of which none has a BatchNorm layer."""
    exact = [cell for cell in different(study.cells).values() if cell.training.step_batchnorm == "exact"]
    built = [network_of(cell, data.of(cell)) for cell in exact]
    facts = [known.get(network, Facts()) if network else Facts() for network in built]
    if exact and all(one.parameters and not one.batchnorm for one in facts):
        raise UserError(
            f"{path}: training.step_batchnorm: exact changes nothing, since no network has a BatchNorm layer. Remove "
            "it."
        )


def _check_chunks(study: Study, cell: Cell, n_train: int | None, facts: Facts, where: str) -> None:
    """Refuse probes in mode `batch` whose last batch is one image, of which a BatchNorm layer keeps nothing."""
    for probe in study.probes if facts.batchnorm == 1 and n_train else ():
        read = min(probe.samples or n_train or 0, n_train or 0)
        if probe.batchnorm == "batch" and read % CHUNK == 1:
            raise UserError(
                f"{where}probe '{probe.name}' in BatchNorm mode 'batch' reads {read:,} images, {CHUNK:,} at a time, "
                f"and of a last batch of one a BatchNorm layer of '{cell.model.name}' keeps nothing. Choose other "
                "samples, or another batchnorm."
            )


def _batches(size: int | str, n_train: int | None) -> tuple[int | None, int | None]:
    """Images of the first batch of an epoch and of its last, where they are known."""
    if n_train is None:
        return (size if isinstance(size, int) else None), None
    first = min(size, n_train) if isinstance(size, int) else n_train
    return first, n_train % first or first


def _check_pruning(study: Study, data: Data, known: Mapping[Network, Facts], path: Path) -> list[str]:
    """Refuse shares to prune that are not one for all layers or one for each; warn of layers that lose all weights."""
    warnings: dict[str, str] = {}
    for name, cell in different(study.cells).items():
        after, network = cell.after, network_of(cell, data.of(cell, name))
        facts = known.get(network, Facts()) if network else Facts()
        layers = len(facts.layers)
        if not after.prune or not layers:
            continue
        where = f"{path}: cell {name}: after."
        if max(after.prune) * facts.parameters < 0.5:
            raise UserError(
                f"{where}prune: [{format_value(after.prune)}] of the {facts.parameters:,} weights of "
                f"'{cell.model.name}' is none. Choose a larger share."
            )
        shares = ", ".join(f"{share:g}" for share in after.prune)
        if len(after.prune) not in (1, layers):
            raise UserError(
                f"{where}prune: [{shares}] has {len(after.prune)} shares, and '{cell.model.name}' has {layers} "
                "convolutions and linear layers here. Give one share, or one for each of them."
            )
        if after.scope == "global" and layers == 1:
            raise UserError(
                f"{where}scope: global prunes all layers but the last, and '{cell.model.name}' has one layer here. "
                "Write layer."
            )
        if 0 in (left := _left(cell, facts.layers)):
            size = facts.layers[left.index(0)]
            which = f"a layer of {size:,} weights" if after.scope == "layer" else "any layer but the last"
            warning = f"leaves no weight in {which} of '{cell.model.name}', so only its biases are trained"
            warnings.setdefault(warning, f"{where}prune: {warning}. Choose smaller shares, or fewer rounds.")
    return list(warnings.values())


def _left(cell: Cell, layers: Sequence[int]) -> list[int]:
    """The weights that a cell and its origins leave: in each layer, or together where all layers are pruned as one."""
    rounds = []
    while cell.after.cell is not None:
        rounds.append(cell.after)
        cell = cell.after.cell
    left = [sum(layers[:-1])] if rounds[0].scope == "global" else list(layers)
    for after in reversed(rounds):
        shares = after.prune if len(after.prune) in (1, len(left)) and after.scope == rounds[0].scope else (0.0,)
        each = shares if len(shares) > 1 else shares * len(left)
        left = [count - round(share * count) for count, share in zip(left, each, strict=True)]
    return left


def _check_samples(study: Study, data: Data, path: Path) -> None:
    """Refuse a probe that is to read more images than any cell trains on."""
    counts = [data.of(cell).n_train for cell in {id(cell.labels): cell for cell in study.cells.values()}.values()]
    known = [count for count in counts if count is not None]
    for probe in study.probes:
        if probe.samples is not None and len(known) == len(counts) and probe.samples > max(known):
            raise UserError(
                f"{path}: probes: {probe.name}: samples: {probe.samples:,} is more than the {max(known):,} training "
                "images that there are. Choose fewer, or null for all."
            )
