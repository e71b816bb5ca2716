"""Archives that somebody prepared: each is refused in one sentence, and nothing of them reaches the disk."""

import gzip
import hashlib
import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from gengap.datasets import archives, cifar10
from gengap.errors import UserError
from gengap.studies.settings import Dataset

MOST = {"most_bytes": 1000, "most_files": 3}


def member(name, kind=tarfile.REGTYPE, size=0, **more):
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, size
    for key, value in more.items():
        setattr(made, key, value)
    return made


def archive(path, *members):
    with tarfile.open(path, f"w:{path.suffix[1:]}") as file:
        for one in members:
            file.addfile(one, io.BytesIO(bytes(one.size)))
    return path


def read(path):
    return list(archives.members(path, **MOST))


@pytest.mark.parametrize("suffix", ["gz", "xz"])
@pytest.mark.parametrize(
    ("hostile", "words"),
    [
        (member("a/../../x", size=1), "'a/../../x' in it leads out of the archive"),
        (member("/etc/x", size=1), "'/etc/x' in it leads out of the archive"),
        (member("..", tarfile.DIRTYPE), "'..' in it leads out of the archive"),
        (member("x", tarfile.SYMTYPE, linkname="/etc/passwd"), "'x' in it is a link or a device"),
        (member("x", tarfile.LNKTYPE, linkname="good"), "'x' in it is a link or a device"),
        (member("x", tarfile.CHRTYPE, devmajor=1, devminor=5), "'x' in it is a link or a device"),
        (member("x", tarfile.FIFOTYPE), "'x' in it is a link or a device"),
        (member("x", size=1001), r"'x' in it has 1,001 bytes, at most 1,000 may be"),
        (member("\x1b[2J", tarfile.FIFOTYPE), r"'\\x1b\[2J' in it is a link"),
    ],
)
def test_a_hostile_member_is_refused(tmp_path, suffix, hostile, words):
    path = archive(tmp_path / f"a.tar.{suffix}", member("good", size=5), hostile)
    with pytest.raises(UserError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_good_archive_is_read(tmp_path):
    path = archive(tmp_path / "a.tar.gz", member("folder", tarfile.DIRTYPE), member("folder/x", size=5))
    assert read(path) == [("folder/x", bytes(5))]


def headers_of(kind, size):
    """The header of a name or of attributes that go on for so many bytes, which `tarfile` would read at once."""
    return member("././@LongLink", kind, size=size).tobuf()


@pytest.mark.parametrize("bomb", ["many files", "endless name", "endless attributes", "one large file"])
def test_a_bomb_of_a_thousand_times_its_size_is_refused(tmp_path, bomb):
    path, size = tmp_path / "bomb.tar.gz", 2**26
    with gzip.open(path, "wb", compresslevel=1) as packed:
        if bomb == "many files":
            for number in range(20_000):
                packed.write(member(f"x{number}", size=1).tobuf() + bytes(512))
        else:
            kinds = {"endless name": tarfile.GNUTYPE_LONGNAME, "endless attributes": tarfile.XHDTYPE}
            packed.write(headers_of(kinds.get(bomb, tarfile.REGTYPE), size))
            for _ in range(size // 2**20):
                packed.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(UserError, match=r"bomb\.tar\.gz: is not read: .*(far more than it should|at most 1,000)"):
        read(path)


def test_an_image_that_unfolds_is_refused(tmp_path, monkeypatch):
    """65 million pixels in a few kilobytes, in an archive whose digest is right."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8000, 8000), dtype=np.uint8)).save(buffer, "JPEG", quality=1, optimize=True)
    monkeypatch.setattr(cifar10, "_JPEG_BYTES", 2**23)
    path = tmp_path / cifar10.JPEG
    with tarfile.open(path, "w:xz") as file:
        file.addfile(member("train/cat/0000.jpg", size=len(buffer.getvalue())), io.BytesIO(buffer.getvalue()))
    monkeypatch.setattr(cifar10, "JPEG_MD5", hashlib.md5(path.read_bytes()).hexdigest())
    with pytest.raises(UserError, match="is of 8000 x 8000 pixels"):
        cifar10.read(Dataset(name="cifar10"), tmp_path)
