"""Opening HDF5 files: without HDF5's own locks, and none that leads elsewhere or asks for foreign code.

HDF5 locks what it opens, and fails where a file system has no locks. Files are written beside and renamed, so readers
need no lock. A file from somewhere else may hold links to other files, datasets whose numbers lie in other files, or
filters that are loaded as plugins: gengap writes none of these, and reads none.
"""

import os
import re
from pathlib import Path

import h5py
from h5py import h5d, h5l, h5o, h5pl, h5z

from gengap.errors import UnreadableError, UserError
from gengap.files import file_digest

MOST_UNPACKED = 1000  # how much larger than its file a dataset may be, if it is packed
_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}

# Nothing is looked for in HDF5_PLUGIN_PATH or in HDF5's default folder: no file makes this process load a library.
while h5pl.size():
    h5pl.remove(0)


class DamagedError(UserError):
    """A file is not what was written."""


def damaged(path: Path, why: object) -> DamagedError:
    """The message for a damaged file."""
    return DamagedError(
        f"{path}: is damaged or no HDF5 file ({why}). `gengap fsck --repair` sets it aside and has it made again. "
        "Or remove it, and run the study again."
    )


def read(path: Path) -> h5py.File:
    """Open a file for reading, after comparing it with its digest.

    Raises:
        UserError: If it leads elsewhere.
        UnreadableError: If the system could not read it.
        DamagedError: If it is no HDF5 file, or its content is not what was written.
    """
    try:
        file_digest.check(path)
    except OSError as error:
        check_readable(path, error)
        raise  # pragma: no cover - an error of Python's has the system's number
    except file_digest.ContentError as error:
        raise damaged(path, error) from error
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        check_readable(path, error)
        raise damaged(path, "HDF5 cannot read it") from error
    try:
        foreign = _foreign(file)
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        file.close()
        check_readable(path, error)
        raise damaged(path, "HDF5 cannot read it") from error
    if foreign:
        file.close()
        raise UserError(
            f"{path}: {foreign}, and gengap reads no such file, since it may come from somebody else. Remove it, and "
            "run the study again."
        )
    return file


def check_readable(path: Path, error: Exception) -> None:
    """Tell an error of the system, after which a file may be as sound as before, from one of the file's content.

    Raises:
        UnreadableError: If it was one of the system; HDF5 hides the system's error number in a long text.
    """
    number = getattr(error, "errno", None)
    if number is None and (hidden := re.search(r"errno = (\d+),", str(error))):
        number = int(hidden[1])
    if number:
        raise UnreadableError(
            f"{path}: could not be read ({os.strerror(number)}), and is left as it is. Run the same again; if it can "
            "never be read, move it away, and it is made again."
        ) from error


def _foreign(file: h5py.File) -> str:
    """What in a file leads elsewhere, needs a plugin or would fill the memory; empty if nothing does."""
    found: list[str] = []
    most = MOST_UNPACKED * file.id.get_filesize()

    def link(name: bytes, info: h5l.LinkInfo) -> bool | None:
        if info.type != h5l.TYPE_HARD:
            found.append(f"'{_shown(name)}' is a link to somewhere else")
        return bool(found) or None

    def item(name: bytes, info: h5o.ObjInfo) -> bool | None:
        if info.type == h5o.TYPE_DATASET:
            data = h5d.open(file.id, name)
            made = data.get_create_plist()
            layout = made.get_layout()
            if layout == h5d.VIRTUAL or (layout == h5d.CONTIGUOUS and made.get_external_count()):
                found.append(f"the numbers of '{_shown(name)}' lie in another file")
            elif layout == h5d.CHUNKED:
                unknown = {made.get_filter(at)[0] for at in range(made.get_nfilters())} - _FILTERS
                found.extend(f"'{_shown(name)}' is packed by filter {number}, a plugin" for number in unknown)
            if data.get_space().get_simple_extent_npoints() * data.dtype.itemsize > most:
                found.append(f"'{_shown(name)}' is more than {MOST_UNPACKED:,} times as large as the file")
        return bool(found) or None

    file.id.links.visit(link, info=True)
    if not found:
        h5o.visit(file.id, item, info=True)
    return found[0] if found else ""


def _shown(name: bytes) -> str:
    return ascii(name.decode(errors="replace"))[1:-1]
