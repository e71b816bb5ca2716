"""Fashion-MNIST: Xiao, Rasul and Vollgraf (2017), arXiv:1708.07747, pictures of garments, 28 x 28."""

from pathlib import Path

from torchvision import datasets

from gengap.datasets import idx
from gengap.datasets.raw import Raw
from gengap.studies.settings import Dataset

PART = {
    "summary": "Fashion-MNIST: 70,000 garments, 28 x 28.",
    "reads": ("image_size", "standardize"),
    "images": (60000, 10000, 1, 28, 10),
    "class_names": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "class_sizes": ((6000,), (1000,)),
}

PAGE = "https://github.com/zalandoresearch/fashion-mnist"
CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
DIGESTS = {  # md5 of the unpacked files; torchvision has those of the packed ones
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


def read(settings: Dataset, root: Path) -> Raw:
    """Read 60,000 + 10,000 images; see `gengap.datasets.idx.read`."""
    return idx.read(datasets.FashionMNIST, settings.name, DIGESTS, CLASSES, PAGE, root)
