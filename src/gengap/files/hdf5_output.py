"""A file for HDF5 to write to, of which HDF5 can always let go.

When a write fails, as on a full disk, HDF5 keeps what it could not write, cannot close the file and tries again when
each of its objects is deleted, with a traceback for each. So HDF5 never learns of it: the first failure is kept, from
then on nothing is written, and the failure is raised when HDF5 has closed the file.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from gengap.files import file_digest


@contextmanager
def opened(path: Path, libver: str | None = None) -> Iterator[h5py.File]:
    """Open a new HDF5 file for writing; `file_digest.write` completes it after it was closed.

    Args:
        path: The file; it exists, and is empty.
        libver: The oldest HDF5 that must be able to read it, as h5py names it; None for any.

    Raises:
        OSError: The first error of the system.
    """
    with _Output(path) as output:
        try:
            with h5py.File(output, "w", libver=libver, userblock_size=file_digest.BLOCK_BYTES) as file:
                yield file
        except Exception:
            if output.failure is None:
                raise
        if output.failure is not None:
            raise output.failure


class _Output(io.RawIOBase):
    """What h5py asks of a file object.

    Args:
        path: The file; it exists, and is empty.

    Attributes:
        failure: The first error of the system; None while all went well.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._position = 0
        self.failure: OSError | None = None

    def close(self) -> None:
        """Close it; if it is closed already, nothing happens."""
        if not self.closed:
            os.close(self._file)
        super().close()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset from the start or from the end."""
        self._position = offset + (os.fstat(self._file).st_size if whence == os.SEEK_END else 0)
        return self._position

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read what was written; zeros where nothing was, or after a failure."""
        view = memoryview(buffer).cast("B")
        view[:] = bytes(len(view))
        done = 0
        with self._kept():
            while self.failure is None and (more := os.preadv(self._file, [view[done:]], self._position + done)):
                done += more
        self._position += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        """Write all of the data; nothing after a failure."""
        view = memoryview(data).cast("B")
        done = 0
        with self._kept():
            while self.failure is None and done < len(view):
                done += os.pwrite(self._file, view[done:], self._position + done)
        self._position += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the file's size; nothing after a failure."""
        wanted = self._position if size is None else size
        with self._kept():
            if self.failure is None:
                os.ftruncate(self._file, wanted)
        return wanted

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Keep the failure of a call."""
        try:
            yield
        except OSError as error:
            self.failure = error
