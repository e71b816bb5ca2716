"""The labels that the dataset came with."""

from gengap.errors import UserError
from gengap.labels.pool import Pool, Selection, dataset_split
from gengap.studies.settings import Labels

PART = {
    "summary": "The labels that the dataset came with.",
}


def select(settings: Labels, pool: Pool) -> Selection:
    """Keep the dataset's split and labels, or the first `train_size` and `test_size` images of a fixed shuffle.

    Raises:
        UserError: If the dataset has no labels, or fewer images than asked for.
    """
    if len(pool.classes) < 2:
        raise UserError(
            f"labels.name: 'original': the images in {pool.path} came without labels. Set labels.name to teacher."
        )
    train, test = dataset_split(settings, pool)
    return Selection(train, test, pool.labels[train], pool.labels[test], len(pool.classes))
