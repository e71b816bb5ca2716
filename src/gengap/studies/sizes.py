"""How many images a cell has, how large they are and how many classes: known from headers and settings alone."""

from dataclasses import dataclass, replace

from gengap import registry
from gengap.errors import UserError, hint
from gengap.registry import Entry
from gengap.studies.settings import Dataset, Labels, Loss

GAUSSIAN_SIZE = 8  # height and width of drawn images where `image_size` is null


@dataclass(frozen=True)
class Sizes:
    """What is known of a cell's data before they are made; None where a header or a random teacher leaves it open.

    Attributes:
        pool: Train and test images of the dataset.
        n_train: Training samples kept.
        n_test: Test samples kept.
        image_shape: ``(channels, height, width)``.
        n_classes: Classes of the labels.
        classes: Numbers of the dataset's classes that are kept, in the order of the new labels; None: all.
    """

    pool: tuple[int, int] | None = None
    n_train: int | None = None
    n_test: int | None = None
    image_shape: tuple[int, int, int] | None = None
    n_classes: int | None = None
    classes: tuple[int, ...] | None = None


def sizes(dataset: Dataset, labels: Labels, where: str) -> Sizes:
    """The sizes of the data of a dataset and a label rule.

    Args:
        dataset: Settings of the dataset.
        labels: Settings of the label rule.
        where: File and cell, for messages.

    Raises:
        UserError: If the rule asks for what the dataset has not.
    """
    entry = registry.check("dataset", dataset.name)
    pool, shape = _images(dataset, entry, where)
    rule = registry.check("labels", labels.name)
    if pool is None or rule.external:
        return Sizes(pool, labels.train_size, labels.test_size, shape)
    if {"margin", "teacher_outputs"} & set(rule.reads):  # the teacher's labels, not the dataset's
        taught = _taught(labels, pool, shape, where)
        return replace(taught, pool=None, n_train=None) if dataset.stream else taught  # drawn while training
    if shape and "patch_size" in rule.options and labels.patch_size > min(shape[1:]):
        raise UserError(
            f"{where}labels.patch_size: patches of {labels.patch_size} x {labels.patch_size} pixels do not fit into "
            f"images of {shape[1]} x {shape[2]}. Choose from 1 to {min(shape[1:])}."
        )
    names = entry.class_names
    if len(names) == 1:
        raise UserError(
            f"{where}labels.name: '{labels.name}': the images of '{dataset.name}' come without labels. "
            "Set labels.name to teacher."
        )
    n_classes = len(names) or (entry.images[4] if entry.images else None)
    kept = None
    if "classes" in rule.reads:
        kept = _classes(labels, dataset.name, names, n_classes, where)
        n_classes = len(kept) if kept is not None else None
    counts = tuple(_available(entry, split, count, kept) for split, count in enumerate(pool))
    for key, size, most in zip(("train_size", "test_size"), (labels.train_size, labels.test_size), counts, strict=True):
        if size is not None and size > most:
            of = " of these classes" if kept is not None else ""
            raise UserError(
                f"{where}labels.{key}: {size:,} images are asked for, and '{dataset.name}' has {most:,}{of}. "
                f"Choose from 1 to {most}, or null for all."
            )
    known = kept is None or bool(entry.class_sizes)
    n_train, n_test = (
        size or (most if known else None)
        for size, most in zip((labels.train_size, labels.test_size), counts, strict=True)
    )
    return Sizes(pool, n_train, n_test, shape, n_classes, kept)


def check_loss(loss: Loss, found: Sizes, where: str) -> None:
    """Refuse a loss that is not defined for the number of classes.

    Raises:
        UserError: It names losses that are.
    """
    only = registry.check("loss", loss.name).classes
    if only and found.n_classes is not None and found.n_classes != only:
        others = [name for name, entry in registry.REGISTRY["loss"].items() if not entry.classes and not entry.teacher]
        raise UserError(
            f"{where}loss.name: '{loss.name}' is for {only} classes, and these labels have {found.n_classes}. Choose "
            f"{' or '.join(others)}, or {only} classes by labels: {{name: class_subset, classes: [...]}}."
        )


def _images(dataset: Dataset, entry: Entry, where: str) -> tuple[tuple[int, int] | None, tuple[int, int, int] | None]:
    """Train and test images of a dataset, and their shape; None where its header says neither."""
    if entry.images:
        n_train, n_test, channels, size, _ = entry.images
        if dataset.image_size is not None and dataset.image_size > size:
            raise UserError(
                f"{where}dataset.image_size: {dataset.image_size} is larger than the images of '{dataset.name}', and "
                f"an area average only shrinks. Choose from 1 to {size}, or null for the original size."
            )
        size = dataset.image_size or size
        return (n_train, n_test), (channels, size, size)
    if {"n_train", "n_test", "channels"} <= set(entry.reads):
        size = dataset.image_size or GAUSSIAN_SIZE
        return (dataset.n_train, dataset.n_test), (dataset.channels, size, size)
    return None, None


def _taught(labels: Labels, pool: tuple[int, int], shape: tuple[int, int, int] | None, where: str) -> Sizes:
    """Sizes where a teacher labels: one with a margin drops images, and says only afterwards how many."""
    if "margin" in registry.check("labels", labels.name).reads:
        needed = (labels.train_size or 1) + (labels.test_size or 1)
        if needed > sum(pool):
            raise UserError(
                f"{where}labels.train_size and labels.test_size: {needed:,} images are asked for, and the dataset has "
                f"{sum(pool):,}, of which a teacher drops some. Choose fewer."
            )
        if labels.teacher_batchnorm == "calibrated" and labels.margin == 0:
            raise UserError(
                f"{where}labels.margin: 0 leaves nothing to scale a calibrated teacher to. Choose a margin above 0."
            )
        return Sizes(pool, labels.train_size, labels.test_size, shape, 2)
    if labels.teacher_outputs == 2:
        raise UserError(
            f"{where}labels.teacher_outputs: 2 is not allowed: one output tells two classes apart. Use 1, or 3."
        )
    for key, size, most in (("train_size", labels.train_size, pool[0]), ("test_size", labels.test_size, pool[1])):
        if size is not None and size > most:
            raise UserError(
                f"{where}labels.{key}: {size:,} images are asked for, and the dataset has {most:,}. "
                f"Choose from 1 to {most}, or null for all."
            )
    n_train, n_test = labels.train_size or pool[0], labels.test_size or pool[1]
    return Sizes(pool, n_train, n_test, shape, max(labels.teacher_outputs, 2))


def _classes(
    labels: Labels, dataset: str, names: tuple[str, ...], n_classes: int | None, where: str
) -> tuple[int, ...] | None:
    """Numbers of the classes that are kept; None if the dataset's header does not say what it has."""
    if labels.classes is None:
        raise UserError(f"{where}labels.classes: '{labels.name}' needs it. Give at least two classes of '{dataset}'.")
    if n_classes is None:
        return None
    listed = ", ".join(f"{name} ({number})" for number, name in enumerate(names)) or f"0 to {n_classes - 1}"
    numbers: dict[int, str | int] = {}
    for wanted in labels.classes:
        number = names.index(wanted) if wanted in names else wanted
        if not isinstance(number, int) or not 0 <= number < n_classes:
            if not names:
                return None
            raise UserError(
                f"{where}labels.classes: {wanted!r} is no class of '{dataset}'.{hint(str(wanted), names)} "
                f"Choose names or numbers from: {listed}."
            )
        if number in numbers:
            raise UserError(
                f"{where}labels.classes: {wanted!r} and {numbers[number]!r} are the same class of '{dataset}'. "
                "Remove one."
            )
        numbers[number] = wanted
    return tuple(numbers)


def _available(entry: Entry, split: int, count: int, kept: tuple[int, ...] | None) -> int:
    """Images of the classes that are kept; where the header does not say how many, those of all classes."""
    if kept is None or not entry.class_sizes:
        return count
    each = entry.class_sizes[split]
    return sum(each[number] if len(each) > 1 else each[0] for number in kept)
