from pathlib import Path

import pytest

from gengap.datasets import cifar, cifar10, prepare
from gengap.files.paths import data_root
from gengap.studies.settings import Dataset


@pytest.fixture(scope="session")
def gaussian(tmp_path_factory) -> Path:
    """Prepared Gaussian images: 1,000 + 500 of 3 x 8 x 8."""
    path = tmp_path_factory.mktemp("prepared") / "gaussian.h5"
    prepare(Dataset(name="gaussian", image_size=8, n_train=1000, n_test=500), path.parent, path)
    return path


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Path:
    """Prepared digits: 1,442 + 355 of 1 x 8 x 8."""
    path = tmp_path_factory.mktemp("prepared") / "digits.h5"
    prepare(Dataset(name="digits"), path.parent, path)
    return path


@pytest.fixture(scope="session")
def cifar8(tmp_path_factory, decoded_once) -> Path:
    """Real CIFAR-10 at 8 x 8, standardised over the pool; tests that use it are marked `data`."""
    root = data_root("data/raw")
    if not cifar.available(cifar10.SOURCE, root) and not (root / cifar10.JPEG).exists():
        pytest.skip(f"no CIFAR-10 under {root}: set GENGAP_DATA_ROOT to a folder that has it")
    path = tmp_path_factory.mktemp("prepared") / "cifar10.h5"
    prepare(Dataset(name="cifar10", image_size=8, standardize="pool"), root, path)
    return path
