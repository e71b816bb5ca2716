"""MNIST: LeCun, Cortes and Burges, handwritten digits, 28 x 28."""

from pathlib import Path

from torchvision import datasets

from gengap.datasets import idx
from gengap.datasets.raw import Raw
from gengap.studies.settings import Dataset

PART = {
    "summary": "MNIST: 70,000 handwritten digits, 28 x 28.",
    "reads": ("image_size", "standardize"),
    "images": (60000, 10000, 1, 28, 10),
    "class_names": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    "class_sizes": (
        (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    ),
}

PAGE = "http://yann.lecun.com/exdb/mnist/"
CLASSES = tuple("0123456789")
DIGESTS = {  # md5 of the unpacked files; torchvision has those of the packed ones
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def read(settings: Dataset, root: Path) -> Raw:
    """Read 60,000 + 10,000 images; see `gengap.datasets.idx.read`."""
    return idx.read(datasets.MNIST, settings.name, DIGESTS, CLASSES, PAGE, root)
