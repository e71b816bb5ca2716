"""MNIST and its relatives: four idx files, downloaded and read by torchvision."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torchvision.datasets import MNIST
from torchvision.datasets.mnist import read_image_file, read_label_file
from torchvision.datasets.utils import check_integrity

from gengap.datasets import fetching
from gengap.datasets.raw import Raw


def read(
    dataset: type[MNIST], name: str, digests: Mapping[str, str], classes: tuple[str, ...], page: str, root: Path
) -> Raw:
    """Read a dataset in MNIST's format, after downloading the files that are missing.

    Args:
        dataset: torchvision's class, which knows where the files come from.
        name: The dataset's name, for messages.
        digests: md5 of each idx file, unpacked.
        classes: Names of the classes.
        page: The official page, for messages.
        root: The data root; the files are ``<class name>/raw/<file>`` in it, as torchvision has them.

    Raises:
        UserError: If a file is missing and cannot be downloaded, or is not the original.
    """
    folder = root / dataset.__name__ / "raw"
    missing = [file for file in digests if not (folder / file).exists()]
    if missing:
        _download(dataset, name, missing, folder, root, page)
    for file, md5 in digests.items():
        fetching.verify(folder / file, md5, page)
    images = {split: read_image_file(str(folder / f"{split}-images-idx3-ubyte")) for split in ("train", "t10k")}
    labels = {split: read_label_file(str(folder / f"{split}-labels-idx1-ubyte")) for split in ("train", "t10k")}
    return Raw(
        train_images=images["train"].numpy()[:, None],
        train_labels=labels["train"].numpy().astype(np.int64),
        test_images=images["t10k"].numpy()[:, None],
        test_labels=labels["t10k"].numpy().astype(np.int64),
        classes=classes,
    )


def _download(dataset: type[MNIST], name: str, missing: list[str], folder: Path, root: Path, page: str) -> None:
    looked_for = [str((folder / file).relative_to(root)) for file in missing]
    remedy = f"Put {', '.join(missing)} (unpacked) from {page} into {folder.absolute()}."
    with fetching.download_folder(root, name, looked_for, remedy) as temporary:
        packed = temporary / dataset.__name__ / "raw"
        packed.mkdir(parents=True)
        for archive, md5 in dataset.resources:
            if check_integrity(folder / archive, md5):
                (packed / archive).symlink_to((folder / archive).absolute())  # whole: torchvision only unpacks it
        if not all((folder / file).exists() for file in missing):
            dataset(temporary, download=True)
            for file in missing:
                fetching.keep(packed / file, folder / file)
