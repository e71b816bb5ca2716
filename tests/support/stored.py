"""HDF5 files, compared by what they hold, and edited as if they had been written so."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from gengap.files import file_digest


@contextmanager
def edited(path: Path) -> Iterator[h5py.File]:
    """Open a file to be changed; at the end it has the digest of its new content."""
    with h5py.File(path, "r+", locking=False) as file:
        yield file
    file_digest.write(path)


def arrays(path: Path) -> dict[str, object]:
    """Every array of an HDF5 file by its name: numbers as bytes, text as text."""
    found: dict[str, object] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            value = item[()]
            found[name] = value.tolist() if value.dtype == object else value.tobytes()

    with h5py.File(path) as file:
        file.visititems(keep)
    assert found, f"no arrays in {path}"
    return found
