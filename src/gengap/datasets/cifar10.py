"""CIFAR-10: Krizhevsky (2009), the binary version, or else an archive of JPEG files under the data root.

The JPEG archive holds ``train/<class>/NNNN.jpg`` and ``test/<class>/NNNN.jpg``. Compression has changed its pixels a
little, so its images are the variant "jpeg", and results say so.
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gengap.datasets import archives, cifar, fetching
from gengap.datasets.raw import Raw
from gengap.errors import UserError
from gengap.logs import log
from gengap.studies.settings import Dataset

PART = {
    "summary": "CIFAR-10: 60,000 colour photographs, 10 classes.",
    "reads": ("image_size", "standardize"),
    "images": (50000, 10000, 3, 32, 10),
    "class_names": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "class_sizes": ((5000,), (1000,)),
}

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SOURCE = cifar.Source(
    name="cifar10",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test="test_batch.bin",
    records=(10_000, 10_000),
    label_bytes=1,
    classes=CLASSES,
    pickled=("cifar-10-batches-py", "cifar-10-python.tar.gz"),
)
Images = dict[tuple[int, str], NDArray[np.uint8]]  # by class and file name
JPEG = "cifar10-jpeg.tar.xz"
_JPEG_BYTES, _JPEG_FILES = 2**16, 60_000  # a file's, and how many
JPEG_MD5 = "4ab025a322774979c21b2d5283f6245a"


def read(settings: Dataset, root: Path) -> Raw:
    """Read 50,000 + 10,000 images: the original if it is there, else the JPEG archive, else a download."""
    if not cifar.available(SOURCE, root) and (root / JPEG).exists():
        return read_jpeg(root / JPEG)
    return cifar.read(SOURCE, root, also=JPEG)


def read_jpeg(path: Path) -> Raw:
    """Decode the JPEG archive straight from its stream, ordered by split, class and number.

    Raises:
        UserError: If the archive is not the known one, or a member of it cannot be read.
    """
    fetching.verify(path, JPEG_MD5, cifar.PAGE)
    log.info("%s: reading CIFAR-10 from JPEG files, which differ slightly from the original", path)
    found: dict[str, Images] = {"train": {}, "test": {}}
    try:
        for name, content in archives.members(path, most_bytes=_JPEG_BYTES, most_files=_JPEG_FILES):
            split, label, number = name.split("/")
            with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
                if image.size != cifar.IMAGE[1:]:
                    raise ValueError(f"{name} is of {image.size[0]} x {image.size[1]} pixels")
                pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
            found[split][CLASSES.index(label), number] = pixels
    except archives.BROKEN as error:
        raise UserError(
            f"{path}: is not an archive of split/class/NNNN.jpg files ({error}). "
            "Remove it, and the original is downloaded."
        ) from error
    train_images, train_labels = _in_order(found["train"])
    test_images, test_labels = _in_order(found["test"])
    return Raw(train_images, train_labels, test_images, test_labels, CLASSES, variant="jpeg")


def _in_order(images: Images) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    order = sorted(images)
    return np.stack([images[key] for key in order]), np.array([label for label, _ in order], dtype=np.int64)
