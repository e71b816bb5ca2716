"""Reading archives of datasets, which may come from anywhere: nothing is unpacked to the disk, sizes are bounded."""

import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from gengap.errors import UserError

BROKEN = (tarfile.TarError, lzma.LZMAError, zlib.error, OSError, EOFError, ValueError, KeyError)
_OVERHEAD = 4096  # bytes of headers and padding per file, generously


def members(path: Path, *, most_bytes: int, most_files: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files of a packed archive, in its order, one at a time.

    Args:
        path: The archive, ``.tar.gz`` or ``.tar.xz``.
        most_bytes: How large a file may be.
        most_files: How many files there may be; so the whole archive is bounded too, whatever it says of itself.

    Raises:
        UserError: If a member is a link or a device, leads out of the archive's folder, or is too large.
        Exception: One of `BROKEN`, if it is damaged.
    """
    with (
        lzma.open(path) if path.suffix == ".xz" else gzip.open(path) as packed,
        tarfile.open(
            fileobj=cast(IO[bytes], _Bounded(packed, path, most_files * (most_bytes + _OVERHEAD))), mode="r|"
        ) as archive,
    ):
        for member in archive:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts:
                raise _refused(path, f"{member.name!r} in it leads out of the archive")
            if not (member.isreg() or member.isdir()):
                raise _refused(path, f"{member.name!r} in it is a link or a device")
            if member.size > most_bytes:
                raise _refused(path, f"{member.name!r} in it has {member.size:,} bytes, at most {most_bytes:,} may be")
            if member.isreg() and (file := archive.extractfile(member)):
                yield member.name, file.read(most_bytes)


class _Bounded:
    """A stream that gives so many bytes at most; of a file it has what `tarfile` needs."""

    def __init__(self, stream: gzip.GzipFile | lzma.LZMAFile, path: Path, most: int) -> None:
        self._stream, self._path, self._left = stream, path, most

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise _refused(self._path, "it holds far more than it should")
        return content


def _refused(path: Path, why: str) -> UserError:
    return UserError(f"{path}: is not read: {why}. Remove it, and get the original.")
