import dataclasses
import hashlib
import io
import tarfile
from pathlib import Path

import closed_port
import numpy as np
import pytest
from PIL import Image

from gengap.datasets import cifar, cifar10, cifar100
from gengap.errors import UserError
from gengap.studies.settings import Dataset

COUNTS = (3, 2)  # images of each training file, and of the test file
CASES = [(cifar10, "cifar10"), (cifar100, "cifar100")]


def records(source: cifar.Source, count: int, seed: int) -> bytes:
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, 256, (count, source.label_bytes + 3072), dtype=np.uint8)
    rows[:, : source.label_bytes] %= len(source.classes) // 5 if source.label_bytes == 2 else 10
    return rows.tobytes()


def files(source: cifar.Source) -> dict[str, bytes]:
    names = {name: records(source, COUNTS[0], seed) for seed, name in enumerate(source.train)}
    return names | {source.test: records(source, COUNTS[1], 99)}


def pack(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def tiny(module, monkeypatch, **changes) -> tuple[cifar.Source, bytes]:
    """A genuine archive with few images, and its digest in the place of the real one."""
    content = pack({f"{module.SOURCE.folder}/{name}": data for name, data in files(module.SOURCE).items()})
    digest = hashlib.md5(content).hexdigest()
    source = dataclasses.replace(module.SOURCE, **{"records": COUNTS, "md5": digest, **changes})
    monkeypatch.setattr(module, "SOURCE", source)
    return source, content


def check(raw, source: cifar.Source) -> None:
    """Images and labels are the bytes of the records."""
    stored = files(source)
    first = np.frombuffer(stored[source.train[0]], dtype=np.uint8).reshape(COUNTS[0], -1)
    last = np.frombuffer(stored[source.test], dtype=np.uint8).reshape(COUNTS[1], -1)
    assert raw.train_images.shape == (COUNTS[0] * len(source.train), 3, 32, 32)
    assert np.array_equal(raw.train_images[: COUNTS[0]].reshape(COUNTS[0], -1), first[:, source.label_bytes :])
    assert np.array_equal(raw.test_images.reshape(COUNTS[1], -1), last[:, source.label_bytes :])
    assert raw.test_labels.tolist() == last[:, source.label_bytes - 1].tolist()
    assert raw.variant == "original"


@pytest.mark.parametrize(("module", "name"), CASES)
def test_archive_that_is_there(module, name, tmp_path, monkeypatch):
    source, content = tiny(module, monkeypatch, url=f"{closed_port.ADDRESS}/" + module.SOURCE.archive)
    (tmp_path / source.archive).write_bytes(content)
    check(module.read(Dataset(name=name), tmp_path), source)
    assert [path.name for path in tmp_path.iterdir()] == [source.archive]


@pytest.mark.parametrize(("module", "name"), CASES)
def test_unpacked_folder_that_is_there(module, name, tmp_path, monkeypatch):
    source, _ = tiny(module, monkeypatch, url=f"{closed_port.ADDRESS}/" + module.SOURCE.archive)
    (tmp_path / source.folder).mkdir()
    for file, data in files(source).items():
        (tmp_path / source.folder / file).write_bytes(data)
    check(module.read(Dataset(name=name), tmp_path), source)
    broken = tmp_path / source.folder / source.test
    broken.write_bytes(broken.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"{source.test} is damaged or cut short"):
        module.read(Dataset(name=name), tmp_path)
    broken.unlink()
    with pytest.raises(UserError, match=rf"{source.test}: cannot be read.*{source.archive}"):
        module.read(Dataset(name=name), tmp_path)


@pytest.mark.parametrize(("module", "name"), CASES)
def test_download(module, name, tmp_path, served, monkeypatch):
    folder, address = served
    source, content = tiny(module, monkeypatch, url=address + module.SOURCE.archive)
    (folder / source.archive).write_bytes(content)
    root = tmp_path / "root"
    check(module.read(Dataset(name=name), root), source)
    (folder / source.archive).unlink()  # the second time nothing is fetched
    check(module.read(Dataset(name=name), root), source)


def test_a_damaged_download_leaves_nothing_behind(tmp_path, served, monkeypatch):
    folder, address = served
    source, content = tiny(cifar10, monkeypatch, url=address + cifar10.SOURCE.archive)
    (folder / source.archive).write_bytes(content[:-50])
    root = tmp_path / "root"
    with pytest.raises(UserError) as caught:
        cifar10.read(Dataset(name="cifar10"), root)
    for words in (str(root), source.archive, source.folder, cifar10.JPEG, "corrupted", cifar.PAGE, "GENGAP_DATA_ROOT"):
        assert words in str(caught.value)
    assert not [path for path in root.iterdir() if not path.name.endswith(".lock")]


def test_no_network_and_only_a_pickle(tmp_path, monkeypatch):
    tiny(cifar10, monkeypatch, url=f"{closed_port.ADDRESS}/" + cifar10.SOURCE.archive)
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py/data_batch_1").write_bytes(b"any pickle")
    with pytest.raises(UserError, match=r"refused.*Put cifar-10-binary.*cifar-10-batches-py is there, but is a pickle"):
        cifar10.read(Dataset(name="cifar10"), tmp_path)


def test_a_root_that_cannot_be_written(tmp_path, monkeypatch):
    tiny(cifar10, monkeypatch, url=f"{closed_port.ADDRESS}/" + cifar10.SOURCE.archive)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cifar10: not found under .*file/root"):
        cifar10.read(Dataset(name="cifar10"), tmp_path / "file/root")


def test_a_truncated_archive_is_named(tmp_path, monkeypatch):
    source, content = tiny(cifar10, monkeypatch)
    (tmp_path / source.archive).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=rf"{source.archive}: is damaged, cut short.*expected {source.md5}"):
        cifar10.read(Dataset(name="cifar10"), tmp_path)


def test_a_hostile_archive_writes_nothing(tmp_path, monkeypatch):
    """An archive with members that climb out of the folder is refused, even where its digest is right."""
    root = tmp_path / "root"
    root.mkdir()
    members = {f"{cifar10.SOURCE.folder}/{name}": data for name, data in files(cifar10.SOURCE).items()}
    content = pack({"../climbed.txt": b"x", str(tmp_path / "absolute.txt"): b"x", **members})
    source, _ = tiny(cifar10, monkeypatch, md5=hashlib.md5(content).hexdigest())
    (root / source.archive).write_bytes(content)
    with pytest.raises(UserError, match=r"is not read: '../climbed.txt' in it leads out of the archive"):
        cifar10.read(Dataset(name="cifar10"), root)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [root / source.archive]


def test_an_archive_without_the_files(tmp_path, monkeypatch):
    content = pack({"other/file.bin": b"x"})
    source, _ = tiny(cifar10, monkeypatch, md5=hashlib.md5(content).hexdigest())
    (tmp_path / source.archive).write_bytes(content)
    with pytest.raises(UserError, match=r"is not the expected archive.*data_batch_1"):
        cifar10.read(Dataset(name="cifar10"), tmp_path)


def jpeg_archive(path: Path, monkeypatch) -> dict[str, np.ndarray]:
    """Uniform images, which JPEG keeps almost exactly, stored in an order unlike the one to be read."""
    members, colours = {}, {}
    for split in ("test", "train"):
        for place, label in enumerate(reversed(cifar10.CLASSES)):
            for number in (1, 0):
                colour = np.array([20 * place, 100 + number * 50, 30 if split == "test" else 200], dtype=np.uint8)
                buffer = io.BytesIO()
                Image.fromarray(np.broadcast_to(colour, (32, 32, 3)).copy()).save(buffer, "JPEG", quality=95)
                members[f"{split}/{label}/{number:04d}.jpg"] = buffer.getvalue()
                colours[f"{split}/{label}/{number:04d}.jpg"] = colour
    path.write_bytes(pack(members, "w:xz"))
    monkeypatch.setattr(cifar10, "JPEG_MD5", hashlib.md5(path.read_bytes()).hexdigest())
    return colours


def test_jpeg_archive_is_read_in_order(tmp_path, monkeypatch):
    colours = jpeg_archive(tmp_path / cifar10.JPEG, monkeypatch)
    raw = cifar10.read(Dataset(name="cifar10"), tmp_path)
    assert raw.variant == "jpeg"
    assert raw.train_labels.tolist() == [label for label in range(10) for _ in range(2)]
    for position, label in enumerate(cifar10.CLASSES):
        for number in (0, 1):
            image = raw.test_images[2 * position + number].astype(int)
            assert np.abs(image - colours[f"test/{label}/{number:04d}.jpg"][:, None, None]).max() <= 3


def test_the_original_is_preferred_to_jpeg(tmp_path, monkeypatch):
    jpeg_archive(tmp_path / cifar10.JPEG, monkeypatch)
    source, content = tiny(cifar10, monkeypatch)
    (tmp_path / source.archive).write_bytes(content)
    check(cifar10.read(Dataset(name="cifar10"), tmp_path), source)


def test_a_truncated_jpeg_archive_is_named(tmp_path, monkeypatch):
    path = tmp_path / cifar10.JPEG
    jpeg_archive(path, monkeypatch)
    path.write_bytes(path.read_bytes()[:-64])
    with pytest.raises(UserError, match=rf"{cifar10.JPEG}: is damaged, cut short"):
        cifar10.read(Dataset(name="cifar10"), tmp_path)


def test_class_names():
    assert len(set(cifar100.CLASSES)) == 100
    assert list(cifar100.CLASSES) == sorted(cifar100.CLASSES)
