import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torchvision

from gengap.datasets import fashion_mnist, mnist
from gengap.errors import UserError
from gengap.studies.settings import Dataset

MNIST = Dataset(name="mnist")


def idx(array: np.ndarray) -> bytes:
    """The idx format: magic number with the type (8 is uint8) and rank, the shape, the values."""
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def tiny(monkeypatch):
    """Four idx files with few images, and their digests in the place of MNIST's."""
    generator = np.random.default_rng(0)
    files = {}
    for split, count in (("train", 6), ("t10k", 4)):
        files[f"{split}-images-idx3-ubyte"] = idx(generator.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        files[f"{split}-labels-idx1-ubyte"] = idx(generator.integers(0, 10, count, dtype=np.uint8))
    monkeypatch.setattr(mnist, "DIGESTS", {name: hashlib.md5(content).hexdigest() for name, content in files.items()})
    return files


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def serve(monkeypatch, served, files: dict[str, bytes]) -> None:
    folder, address = served
    packed = {f"{name}.gz": gzip.compress(content) for name, content in files.items()}
    write(folder, packed)
    resources = [(name, hashlib.md5(content).hexdigest()) for name, content in packed.items()]
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [address])
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)


def test_existing_files_are_used_as_they_are(tiny, tmp_path):
    write(tmp_path / "MNIST/raw", tiny)
    raw = mnist.read(MNIST, tmp_path)
    assert raw.train_images.shape == (6, 1, 28, 28)
    assert raw.test_images.tobytes() == tiny["t10k-images-idx3-ubyte"][16:]
    assert raw.train_labels.tolist() == list(tiny["train-labels-idx1-ubyte"][8:])
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(tiny)


def test_missing_files_are_downloaded_and_present_ones_kept(tiny, tmp_path, served, monkeypatch):
    serve(monkeypatch, served, tiny)
    root = tmp_path / "root"
    kept = root / "MNIST/raw/train-labels-idx1-ubyte"
    write(kept.parent, {kept.name: tiny[kept.name]})
    inode = kept.stat().st_ino
    raw = mnist.read(MNIST, root)
    assert raw.train_images.tobytes() == tiny["train-images-idx3-ubyte"][16:]
    assert kept.stat().st_ino == inode
    assert {path.name for path in kept.parent.iterdir()} == set(tiny)


def test_packed_files_that_are_there_are_unpacked_without_network(tiny, tmp_path, monkeypatch, served):
    serve(monkeypatch, served, tiny)
    write(tmp_path / "MNIST/raw", {f"{name}.gz": gzip.compress(content) for name, content in tiny.items()})
    for path in served[0].iterdir():
        path.unlink()
    assert mnist.read(MNIST, tmp_path).test_images.shape == (4, 1, 28, 28)


def test_a_truncated_file_is_named_and_left_alone(tiny, tmp_path):
    write(tmp_path / "MNIST/raw", tiny)
    broken = tmp_path / "MNIST/raw/t10k-images-idx3-ubyte"
    broken.write_bytes(broken.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"t10k-images-idx3-ubyte: is damaged, cut short.*expected.*Remove it"):
        mnist.read(MNIST, tmp_path)
    assert len(broken.read_bytes()) == len(tiny[broken.name]) - 100


def test_a_damaged_download_leaves_nothing_behind(tiny, tmp_path, served, monkeypatch):
    serve(monkeypatch, served, tiny)
    (served[0] / "train-images-idx3-ubyte.gz").write_bytes(b"not what was promised")
    root = tmp_path / "root"
    with pytest.raises(UserError, match=r"mnist: not found.*MNIST/raw/train-images-idx3-ubyte.*corrupted.*Put.*Or set"):
        mnist.read(MNIST, root)
    assert not list(root.rglob("*ubyte*"))


@pytest.mark.data
@pytest.mark.parametrize(("name", "module"), [("mnist", mnist), ("fashion_mnist", fashion_mnist)])
def test_the_real_files(name, module, real_root):
    folder = real_root / {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[name] / "raw"
    if not folder.exists():
        pytest.skip(f"no {folder}: set GENGAP_DATA_ROOT to a folder that has it")
    raw = module.read(Dataset(name=name), real_root)
    reference = getattr(torchvision.datasets, folder.parent.name)(real_root, train=False)
    assert raw.train_images.shape == (60_000, 1, 28, 28)
    assert raw.test_images.shape == (10_000, 1, 28, 28)
    assert np.array_equal(raw.test_images[:, 0], reference.data.numpy())
    assert np.array_equal(raw.test_labels, reference.targets.numpy())
    assert [name.split(" - ")[0] for name in reference.classes] == list(raw.classes)
