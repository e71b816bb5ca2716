"""What a disk holds after a loss of power, from a record of the calls that changed files (see tests/faults/faults.c).

POSIX promises no more than this: a file has the content that it had when it was last synced, and a folder the names
that it had when it was last synced. A disk may have more, in any order; the ways here are the extremes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Nothing that was not synced; all names, but of contents only what was synced; the same with half of the rest; all.
WAYS = ("nothing", "names", "half", "all")


@dataclass(frozen=True)
class Call:
    """One call that changed a file.

    Attributes:
        what: ``create``, ``write``, ``truncate``, ``sync``, ``rename``, ``link``, ``unlink`` or ``mkdir``.
        path: The file or folder.
        to: The new name, of ``rename`` and ``link``.
        number: Offset of a ``write``, size of a ``truncate``.
        data: What was written.
    """

    what: str
    path: str
    to: str
    number: int
    data: bytes


@dataclass
class _File:
    content: bytearray
    synced: bytes = b""


@dataclass
class Disk:
    """A disk to which calls come one after the other.

    Attributes:
        files: The file of each name.
        synced: The file of each name that the disk would still know, if it knew the folder.
        new_folders: Folders that it would not.
    """

    files: dict[str, _File] = field(default_factory=dict)
    synced: dict[str, _File] = field(default_factory=dict)
    new_folders: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, folder: Path) -> "Disk":
        """A disk that has a folder as it is."""
        files = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        known = {name: _File(bytearray(content), content) for name, content in files.items()}
        return cls(known, dict(known))

    def take(self, call: Call) -> None:
        """Change as a call did."""
        if call.what == "create":
            self.files[call.path] = _File(bytearray())
        elif call.what == "mkdir":
            self.new_folders.add(call.path)
        elif call.what == "unlink":
            self.files.pop(call.path, None)
        elif call.what in ("rename", "link"):
            if call.path in self.files:
                self.files[call.to] = self.files[call.path]
                if call.what == "rename":
                    del self.files[call.path]
            else:
                self._move_folder(call.path, call.to)
        elif call.what == "sync":
            self._sync(call.path)
        elif call.path in self.files and call.what in ("write", "truncate"):
            content = self.files[call.path].content
            end = call.number + len(call.data)
            content.extend(bytes(max(0, end - len(content))))
            if call.what == "write":
                content[call.number : end] = call.data
            else:
                del content[call.number :]

    def left(self, way: str) -> dict[str, bytes]:
        """What is found after the power has gone."""
        if way == "nothing":
            known = {name: file for name, file in self.synced.items() if not self._in_new_folder(name)}
            return {name: file.synced for name, file in known.items()}
        return {name: _left(file, way) for name, file in self.files.items()}

    def _sync(self, path: str) -> None:
        if path in self.files:
            self.files[path].synced = bytes(self.files[path].content)
            return
        self.new_folders = {name for name in self.new_folders if name.rpartition("/")[0] != path}
        inside = {name for name in (*self.files, *self.synced) if name.rpartition("/")[0] == path}
        for name in inside:
            if name in self.files:
                self.synced[name] = self.files[name]
            else:
                del self.synced[name]

    def _in_new_folder(self, name: str) -> bool:
        return any(name.startswith(f"{folder}/") for folder in self.new_folders)

    def _move_folder(self, path: str, to: str) -> None:
        for name in [name for name in self.files if name.startswith(f"{path}/")]:
            self.files[to + name.removeprefix(path)] = self.files.pop(name)


def _left(file: _File, way: str) -> bytes:
    if way == "all":
        return bytes(file.content)
    if bytes(file.content) == file.synced or way == "names":
        return file.synced
    half = len(file.content) // 2
    return bytes(file.content[:half]) + bytes(len(file.content) - half)


def read(record: Path) -> Iterator[Call]:
    """The calls of a record."""
    content = record.read_bytes()
    at = 0
    while at < len(content):
        end = content.index(b"\n", at)
        what, number, length, path, to = content[at:end].decode().split("\t")
        at = end + 1 + int(length)
        yield Call(what, path, to, int(number), content[end + 1 : at])


def write(files: dict[str, bytes], original: Path, folder: Path) -> None:
    """Lay out what was left of one folder in another."""
    for name, content in files.items():
        path = folder / Path(name).relative_to(original)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
