"""CIFAR's binary version: one record per image, label bytes and then 3 x 32 x 32 pixels, channel by channel.

torchvision's own reader takes the "python" version, which is a pickle, and gengap unpickles nothing: a user who only
has that one is told which file to get. The archive is read where it lies; it is never unpacked, so no member of it,
can be written outside the folder, whatever its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torchvision.datasets.utils import download_url

from gengap.datasets import archives, fetching
from gengap.datasets.raw import Raw
from gengap.errors import UserError
from gengap.logs import log

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
IMAGE = (3, 32, 32)
_SMALL_BYTES, _SMALL_FILES = 2**20, 16  # texts that an archive has beside the images


@dataclass(frozen=True)
class Source:
    """Where a CIFAR comes from and how its records look.

    Attributes:
        name: The dataset.
        url: The archive.
        md5: Its digest, as given on `PAGE`.
        folder: The folder inside it, used as it is where the user has unpacked it under the data root.
        train: Files of the training set, in order.
        test: File of the test set.
        records: Images per file, of training files and of the test file.
        label_bytes: Label bytes before each image; the last one is the class.
        classes: Names of the classes.
        pickled: What torchvision stores instead, and we do not read.
    """

    name: str
    url: str
    md5: str
    folder: str
    train: tuple[str, ...]
    test: str
    records: tuple[int, int]
    label_bytes: int
    classes: tuple[str, ...]
    pickled: tuple[str, ...]

    @property
    def archive(self) -> str:
        """File name of the archive."""
        return self.url.rpartition("/")[2]


def available(source: Source, root: Path) -> bool:
    """Whether the binary version is under the data root, packed or unpacked."""
    return (root / source.archive).exists() or (root / source.folder).is_dir()


def read(source: Source, root: Path, *, also: str = "") -> Raw:
    """Read the binary version from its archive or its unpacked folder; download the archive if there is neither.

    Args:
        source: Which CIFAR.
        root: The data root.
        also: A further file that the caller looked for, for the message.

    Raises:
        UserError: If there is none and the download fails, or if a file is damaged.
    """
    if (root / source.archive).exists() or not (root / source.folder).is_dir():
        _download(source, root, also)
        path = root / source.archive
        fetching.verify(path, source.md5, PAGE)
        files = _members(source, path)
    else:
        path = root / source.folder
        files = _unpacked(source, path)
    train = [_records(source, path, name, files[name], source.records[0]) for name in source.train]
    test_images, test_labels = _records(source, path, source.test, files[source.test], source.records[1])
    return Raw(
        train_images=np.concatenate([images for images, _ in train]),
        train_labels=np.concatenate([labels for _, labels in train]),
        test_images=test_images,
        test_labels=test_labels,
        classes=source.classes,
    )


def _download(source: Source, root: Path, also: str) -> None:
    path = root / source.archive
    if path.exists():
        return
    pickled = [name for name in source.pickled if (root / name).exists()]
    note = f" {' and '.join(pickled)} is there, but is a pickle, which gengap does not read." if pickled else ""
    if pickled:
        log.info("%s:%s", source.name, note)
    looked_for = [source.archive, source.folder, *([also] if also else [])]
    remedy = f"Put {source.archive} (the binary version) from {PAGE} into {root.absolute()}.{note}"
    with fetching.download_folder(root, source.name, looked_for, remedy) as temporary:
        if not path.exists():
            download_url(source.url, temporary, source.archive, source.md5)
            fetching.keep(temporary / source.archive, path)


def _members(source: Source, path: Path) -> Mapping[str, bytes]:
    wanted = {f"{source.folder}/{name}": name for name in (*source.train, source.test)}
    largest = max(source.records) * (source.label_bytes + int(np.prod(IMAGE)))
    try:
        found = archives.members(path, most_bytes=largest + _SMALL_BYTES, most_files=len(wanted) + _SMALL_FILES)
        files = {wanted[name]: content for name, content in found if name in wanted}
        if missing := sorted(set(wanted.values()) - set(files)):
            raise KeyError(f"{missing[0]} is no file in it")
    except archives.BROKEN as error:
        raise UserError(f"{path}: is not the expected archive ({error}). Remove it; it comes from {PAGE}.") from error
    return files


def _unpacked(source: Source, folder: Path) -> Mapping[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in (*source.train, source.test)}
    except OSError as error:
        raise UserError(
            f"{error.filename}: cannot be read ({error.strerror}). Remove the folder {folder}, and {source.archive} is "
            f"downloaded; or unpack it again, from {PAGE}."
        ) from error


def _records(
    source: Source, path: Path, name: str, content: bytes, count: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Split a file into images ``[count, 3, 32, 32]`` and labels ``[count]``."""
    length = source.label_bytes + int(np.prod(IMAGE))
    labels = np.frombuffer(content, dtype=np.uint8)[source.label_bytes - 1 :: length].astype(np.int64)
    if len(content) != count * length or labels.max() >= len(source.classes):
        raise UserError(
            f"{path}: {name} is damaged or cut short: {len(content)} bytes and labels up to {labels.max(initial=0)}, "
            f"expected {count * length} bytes and labels below {len(source.classes)}. Get {source.archive} from {PAGE}."
        )
    images = np.frombuffer(content, dtype=np.uint8).reshape(count, length)[:, source.label_bytes :]
    return images.reshape(count, *IMAGE), labels
