"""The images of some of the dataset's classes; of two classes, a binary task (Song 2019, appendix B)."""

import numpy as np

from gengap.errors import UserError
from gengap.labels.pool import Pool, Selection, dataset_split, own_labels
from gengap.studies.settings import Labels

PART = {
    "summary": "The images of some classes, e.g. two for a binary task.",
    "reads": ("classes",),
}


def select(settings: Labels, pool: Pool) -> Selection:
    """Keep the images of the named classes within the dataset's split, or the first ones of a fixed shuffle.

    A label is the class's place in `classes`, so that of two classes a network with one output has the first below 0
    and the second above.

    Raises:
        UserError: If the dataset has no such class, or too few images of them.
    """
    own = own_labels(settings, pool)
    chosen = _numbers(settings, pool)
    places = np.full(max(len(pool.classes), 1), -1, dtype=np.int64)
    places[chosen] = np.arange(len(chosen))
    labels = places[own]
    train, test = dataset_split(settings, pool, labels >= 0)
    return Selection(train, test, labels[train], labels[test], len(chosen))


def _numbers(settings: Labels, pool: Pool) -> list[int]:
    """The classes' numbers in the dataset."""
    listed = ", ".join(f"{name} ({number})" for number, name in enumerate(pool.classes))
    if settings.classes is None:
        raise UserError(f"labels.classes: 'class_subset' needs it. Give at least two of: {listed}.")
    numbers = []
    for wanted in settings.classes:
        number = pool.classes.index(wanted) if wanted in pool.classes else wanted
        if not isinstance(number, int) or not 0 <= number < len(pool.classes):
            raise UserError(
                f"labels.classes: {wanted!r} is no class of {pool.path}. Choose names or numbers from: {listed}."
            )
        if number in numbers:
            raise UserError(f"labels.classes: {wanted!r} is given twice. Remove one.")
        numbers.append(number)
    return numbers
