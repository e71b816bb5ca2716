"""The labels that the dataset came with."""

from gengap.labels.pool import Pool, Selection, dataset_split, own_labels
from gengap.studies.settings import Labels

PART = {
    "summary": "The labels that the dataset came with.",
}


def select(settings: Labels, pool: Pool) -> Selection:
    """Keep the dataset's split and labels, or the first `train_size` and `test_size` images of a fixed shuffle.

    Raises:
        UserError: If the dataset has no labels, or fewer images than asked for.
    """
    labels = own_labels(settings, pool)
    train, test = dataset_split(settings, pool)
    return Selection(train, test, labels[train], labels[test], len(pool.classes))
