"""CIFAR-100: Krizhevsky (2009), the binary version, with its 100 fine classes."""

from pathlib import Path

from gengap.datasets import cifar
from gengap.datasets.raw import Raw
from gengap.studies.settings import Dataset

PART = {
    "summary": "CIFAR-100: 60,000 colour photographs, 100 classes.",
    "reads": ("image_size", "standardize"),
    "images": (50000, 10000, 3, 32, 100),
    "class_names": """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man
maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail
snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout
tulip turtle wardrobe whale willow_tree wolf woman worm
""",
    "class_sizes": ((500,), (100,)),
}

CLASSES = tuple(str(PART["class_names"]).split())
SOURCE = cifar.Source(
    name="cifar100",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    folder="cifar-100-binary",
    train=("train.bin",),
    test="test.bin",
    records=(50_000, 10_000),
    label_bytes=2,  # coarse, then fine
    classes=CLASSES,
    pickled=("cifar-100-python", "cifar-100-python.tar.gz"),
)


def read(settings: Dataset, root: Path) -> Raw:
    """Read 50,000 + 10,000 images; see `gengap.datasets.cifar.read`."""
    return cifar.read(SOURCE, root)
