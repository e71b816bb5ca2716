"""The digest of a file's content, in the 512 bytes before it, which HDF5 leaves to the user (its "user block").

It is the sha256 of one number per page of 4 KiB, the sum of the page's 64-bit words: any flipped bit changes its page's
sum, and any lost, emptied or exchanged page the list of sums. Sums are as fast as memory is; sha256 of everything, or
CRC-32, would take as long as reading the file.
"""

import hashlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

BLOCK_BYTES = 512  # the smallest user block
_PAGE_BYTES, _READ_BYTES = 4096, 1 << 20
_HDF5 = b"\x89HDF\r\n\x1a\n"


class ContentError(ValueError):
    """A file's content is not what was written."""


def write(path: Path) -> None:
    """Put the digest of what follows the block into the block of a file, which is open nowhere."""
    with path.open("r+b", buffering=0) as file:
        block = _block(_digest(file))
        file.seek(0)
        file.write(block)


def check(path: Path) -> bool:
    """Compare a file with its digest.

    Returns:
        Whether it has one; files from before November 2026 have none.

    Raises:
        ContentError: If the content has another digest, or the file is no HDF5 file at all.
        OSError: If it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        block = file.read(BLOCK_BYTES)
        if block.startswith(_HDF5):
            return False
        if not block.startswith(b"gengap "):
            raise ContentError("it is no HDF5 file")
        if block != _block(_digest(file)):
            raise ContentError("its content is not what was written")
        return True


def read(path: Path) -> str:
    """The digest that a file says it has, without reading the rest of it; empty if it says none.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        words = file.read(BLOCK_BYTES).split(maxsplit=2)
    return words[1].decode("ascii", "replace") if len(words) > 1 and words[0] == b"gengap" else ""


def _block(digest: str) -> bytes:
    return f"gengap {digest} sha256 of the sums of pages\n".encode().ljust(BLOCK_BYTES, b"\n")


def _digest(file: BinaryIO) -> str:
    """Of everything that follows the block."""
    total, size = hashlib.sha256(), 0
    file.seek(BLOCK_BYTES)
    buffer = bytearray(_READ_BYTES)
    while read := _fill(file, buffer):
        size += read
        if tail := read % _PAGE_BYTES:
            buffer[read : read + _PAGE_BYTES - tail] = bytes(_PAGE_BYTES - tail)
        pages = -(-read // _PAGE_BYTES)
        words = np.frombuffer(buffer, np.uint64, pages * _PAGE_BYTES // 8).reshape(pages, -1)
        total.update(np.add.reduce(words, axis=1).tobytes())
    total.update(str(size).encode())
    return total.hexdigest()


def _fill(file: BinaryIO, buffer: bytearray) -> int:
    """Read until the buffer is full or the file ends, so that pages lie where they lie in the file."""
    read = 0
    with memoryview(buffer) as view:
        while read < len(buffer) and (more := file.readinto(view[read:])):  # type: ignore[attr-defined]
            read += more
    return read
