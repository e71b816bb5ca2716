"""HDF5 files, compared by what they hold."""

from pathlib import Path

import h5py


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
