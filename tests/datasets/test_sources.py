"""`data/sources.csv` says what the code checks."""

import re
from pathlib import Path

import pandas as pd

from gengap.datasets import cifar10, cifar100, fashion_mnist, mnist
from gengap.registry import REGISTRY

SOURCES = pd.read_csv(Path(__file__).parents[2] / "data/sources.csv", keep_default_na=False)


def test_every_dataset_of_files_is_listed_with_licence_and_place():
    """Those that draw their images on the spot have no source; the others read files by one of these modules."""
    readers = r"gengap\.datasets(\.| import ([\w, ]*, )?)(cifar|idx|fetching)\b"
    of_files = {name for name, entry in REGISTRY["dataset"].items() if re.search(readers, entry.path.read_text())}
    assert of_files <= set(SOURCES["name"]) <= set(REGISTRY["dataset"])
    assert len(of_files) == 4
    assert list(SOURCES.columns) == ["name", "variant", "where", "file", "digest", "licence", "citation"]
    assert (SOURCES[["where", "licence"]] != "").all(axis=None)


def test_digests_are_those_in_the_code():
    expected = {source.archive: source.md5 for source in (cifar10.SOURCE, cifar100.SOURCE)}
    expected[cifar10.JPEG] = cifar10.JPEG_MD5
    for folder, module in (("MNIST", mnist), ("FashionMNIST", fashion_mnist)):
        expected |= {f"{folder}/raw/{file}": md5 for file, md5 in module.DIGESTS.items()}
    listed = SOURCES[~SOURCES["name"].isin(["digits", "gaussian"])]
    assert dict(zip(listed["file"], listed["digest"].str.removeprefix("md5:"), strict=True)) == expected
