"""Tensors of a file that `torch.save` wrote, read without unpickling it.

A pickle is a program: its opcodes import names and call what they find. Here `pickletools.genops` lists the opcodes
and runs none, and the few that a dict of tensors needs are followed on a stack of plain values. A name such as
``torch._utils._rebuild_tensor_v2`` stays a text that is compared with the known ones, and whatever else a file asks for
is refused. The numbers are then read from their place in the file.

Both forms are read: the zip archive of PyTorch 1.6 and later, and five pickles followed by numbers, as before.
"""

import hashlib
import io
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gengap.errors import UserError
from gengap.files.pickled_tensors import RefusedError, Storage, Stored, walk

Numbers = NDArray[Any]

_ZIP = b"PK\x03\x04"
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the form before the zip archive
_MOST_PICKLED = 16 * 2**20  # bytes of what describes the tensors: 16 kB for VGG-16
_HEX = 8  # digits of the SHA-256 at the end of a file's name, as PyTorch names its files


def check_name(path: Path) -> None:
    """Compare a file with the digits of its SHA-256 that its name ends with, as in ``vgg11_bn-6002323d.pth``.

    Eight digits show damage. They do not show who wrote the file, so it is read as if anyone had.

    Raises:
        UserError: If it cannot be read, or is another file.
    """
    expected = path.stem.rpartition("-")[2]
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if len(expected) != _HEX or not digest.startswith(expected):
        raise UserError(
            f"{path}: is damaged, cut short or another file: its SHA-256 begins with {digest[:_HEX]}, and by its name "
            f"it should begin with {expected}. Remove it, and get it again."
        )


def read_tensors(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, Numbers]:
    """The tensors of a state dict, in its order.

    Args:
        path: A file of `torch.save` that holds a dict of dense tensors.
        wanted: Which of its tensors are read, by their names; the others take neither time nor memory.

    Raises:
        UserError: If it is not such a file, asks for anything else than tensors, or is damaged.
    """
    try:
        with path.open("rb") as file:
            read = _from_zip if file.read(len(_ZIP)) == _ZIP else _from_pickles
            file.seek(0)
            return read(file, wanted)
    except RefusedError as error:
        raise UserError(f"{path}: is not read: {error}. Use a file of dense tensors alone.") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from error
    # What `pickletools`, `zipfile` and NumPy say of bytes that are not what they should be.
    except (
        ValueError,
        LookupError,
        TypeError,
        EOFError,
        ArithmeticError,
        RuntimeError,
        zipfile.BadZipFile,
    ) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{path}: is damaged, cut short or no file of torch.save ({said}).") from error


def _from_zip(file: BinaryIO, wanted: Callable[[str], bool]) -> dict[str, Numbers]:
    """From ``NAME/data.pkl``, and the numbers of each storage in ``NAME/data/KEY``."""
    with zipfile.ZipFile(file) as archive:
        members = {one.filename: one for one in archive.infolist()}
        pickles = [name for name in members if name.endswith("/data.pkl")]
        if len(pickles) != 1 or len(members) < len(archive.infolist()):
            raise RefusedError("it is a zip archive, and not one that torch.save wrote")
        top = pickles[0].removesuffix("/data.pkl")
        if any(one.compress_type != zipfile.ZIP_STORED for one in members.values()):
            raise RefusedError("its archive is compressed, which torch.save does not do")
        if f"{top}/byteorder" in members and _member(archive, members, f"{top}/byteorder") != b"little":
            raise RefusedError("its numbers are not little-endian")
        if members[pickles[0]].file_size > _MOST_PICKLED:
            raise RefusedError(f"its pickle is larger than {_MOST_PICKLED:,} bytes")
        content = walk(io.BytesIO(_member(archive, members, pickles[0])))
        found = {name: stored for name, stored in _state(content).items() if wanted(name)}
        return {
            name: _numbers(_member(archive, members, f"{top}/data/{one.storage.key}"), one)
            for name, one in found.items()
        }


def _member(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str) -> bytes:
    if name not in members:
        raise RefusedError(f"it lacks {name}")
    return archive.read(members[name])  # which compares the checksum


def _from_pickles(file: BinaryIO, wanted: Callable[[str], bool]) -> dict[str, Numbers]:
    """From five pickles (a magic number, a version, the machine, the dict, its storages' keys) and the numbers."""
    pickles = io.BytesIO(file.read(_MOST_PICKLED))
    if walk(pickles) != _MAGIC or walk(pickles) != _PROTOCOL:
        raise RefusedError("it has not the beginning of a file that torch.save writes")
    machine = walk(pickles)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise RefusedError("its numbers are not little-endian")
    state, keys = _state(walk(pickles)), walk(pickles)
    storages = {one.storage.key: one.storage for one in state.values()}
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in storages for key in keys):
        raise RefusedError("it lists numbers of which no tensor is made")
    file.seek(pickles.tell())
    places = dict(_places(file, [storages[key] for key in keys]))
    found = {name: stored for name, stored in state.items() if wanted(name)}
    numbers: dict[str, Numbers] = {}
    for name, one in found.items():
        if one.storage.key not in places:
            raise RefusedError(f"it lacks the numbers of {name}")
        file.seek(places[one.storage.key])
        numbers[name] = _numbers(file.read(one.storage.count * one.storage.dtype.itemsize), one)
    return numbers


def _places(file: BinaryIO, storages: list[Storage]) -> Iterator[tuple[str, int]]:
    """Where in the file the numbers of each storage begin, each after their count; the file is at the first one."""
    at, end = file.tell(), file.seek(0, io.SEEK_END)
    for one in storages:
        file.seek(at)
        if int.from_bytes(file.read(8), "little", signed=True) != one.count:
            raise RefusedError("it has not as many numbers as its tensors need, so it is damaged or cut short")
        yield one.key, at + 8
        at += 8 + one.count * one.dtype.itemsize
        if at > end:
            raise RefusedError("it is cut short")


def _state(content: object) -> dict[str, Stored]:
    """What was saved, if it is a dict of tensors by name."""
    if not isinstance(content, dict) or not content or not all(isinstance(one, Stored) for one in content.values()):
        raise RefusedError("it does not hold a dict of tensors")
    return content


def _numbers(content: bytes, tensor: Stored) -> Numbers:
    """A tensor, from all numbers of its storage."""
    storage = tensor.storage
    if len(content) != storage.count * storage.dtype.itemsize:
        raise RefusedError("it has not as many numbers as its tensors need, so it is damaged or cut short")
    end = tensor.offset + math.prod(tensor.shape)
    return np.frombuffer(content, storage.dtype)[tensor.offset : end].reshape(tensor.shape)
