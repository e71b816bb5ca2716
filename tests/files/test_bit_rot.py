"""One flipped bit in a file that is kept: the file is named, and no number of it is used."""

import random
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from gengap import labels
from gengap.engine import weights
from gengap.evidence import collect, collect_simulation, measurements
from gengap.files import arrays, file_digest, storage
from gengap.files.arrays import Array
from gengap.files.hdf5 import DamagedError
from gengap.labels.pool import read_pool
from gengap.simulations import simulate_point
from gengap.studies.settings import Cell
from gengap.studies.simulation import load_simulation
from gengap.training import cell_result, cell_store, resume
from gengap.training.cell_result import CellResult
from gengap.training.pack_state import PackState
from gengap.training.step import NetworkState

SIMULATION = """\
title: Small
base: {simulation: random_matrix, distribution: normal, columns: 3}
grid: {rows: [6], seed: 0..3}
tables: [draws]
"""
CELL = Cell.model_validate({"model": {"width": 3}})


def draws(folder):
    """A file of draws, and its simulation."""
    (folder / "small.yaml").write_text(SIMULATION)
    simulation = load_simulation(folder / "small.yaml")
    ((name, point),) = simulation.points.items()
    simulate_point(name, point, folder / "draws.h5", device="cpu")
    return folder / "draws.h5", simulation


def unfinished(folder):
    """A pack that was interrupted."""
    result = CellResult("seed=0", CELL, "0" * 64, 6)
    state = {"w": torch.arange(6.0).reshape(1, 2, 3)}
    result.checkpoints[0.0] = {"w": state["w"][0]}
    result.history.append((0.0, "train_loss", 1.5))
    networks = NetworkState(parameters=state, buffers={"b": torch.ones(1, 3)}, optimizer_state={"momentum": state})
    pack = PackState([result], networks, curvature=[0.5], products=[2])
    resume.write(folder / "unfinished.h5", pack, [result])
    return folder / "unfinished.h5", [result]


def spectra(folder):
    """A probe's file with an array, as spectra are kept."""
    rows = pd.DataFrame({"cell": ["seed=0"], "epoch": [1.0]})
    with storage.writing(folder / "spectra.h5", "probe", {"settings": {}}) as file:
        storage.write_table(file, "measurements", pd.DataFrame({name: ["a"] for name in collect.MEASUREMENTS}))
        arrays.write(file, [Array("density", "", ("point",), "exact", "p", rows, np.arange(5.0)[None])])
    return folder / "spectra.h5"


def read_probe(path):
    with storage.reading(path, "probe") as file:
        storage.read_table(file, "measurements")
        return list(arrays.read(file))


@pytest.fixture(scope="module")
def kept(finished_workspace, tmp_path_factory):
    """A file of every kind that is kept, as (path, what reads it)."""
    folder = tmp_path_factory.mktemp("kept")
    top = finished_workspace.folder
    (prepared,) = (top / "data/prepared").glob("*.h5")
    (labelled,) = (top / "data/labelled").glob("*/*.h5")
    pack = top / "results/tiny/packs/width=2_pack=0"
    drawn, simulation = draws(folder)
    saved, wanted = unfinished(folder)
    return {
        "prepared": (prepared, read_pool),
        "labelled": (labelled, lambda path: labels.read(prepared, path)),
        "weights": (pack / "weights.h5", weights.read),
        "history": (pack / "history.h5", lambda path: cell_result.read({}, pack / "weights.h5", path)),
        "probe": (pack / "probes/performance.h5", read_probe),
        "spectra": (spectra(folder), read_probe),
        "measurements": (top / "results/tiny/measurements.h5", measurements.read),
        "draws": (
            drawn,
            lambda path: collect_simulation.collect_simulation(
                simulation, [path], path.with_name("m.h5"), path.with_name("c.csv")
            ),
        ),
        "unfinished": (saved, lambda path: resume.read(path, wanted, torch.device("cpu"))),
    }


KINDS = ("prepared", "labelled", "weights", "history", "probe", "spectra", "measurements", "draws", "unfinished")


def flipped(content, place, bit):
    content = bytearray(content)
    content[place] ^= 1 << bit
    return bytes(content)


def places_of_datasets(path):
    """A byte of the stored numbers of every dataset; of text, a byte of its heap."""
    found, content = {}, path.read_bytes()

    def keep(name, item):
        if isinstance(item, h5py.Dataset) and item.size:
            found[name] = item.id.get_offset() + item.id.get_storage_size() // 2
            if item.dtype == object and (text := max(item[()].ravel())):
                found[f"{name}, its text"] = content.index(text)

    with h5py.File(path) as file:
        file.visititems(keep)
        for name, value in file.attrs.items():
            if isinstance(value, str):
                found[f"attribute {name}"] = content.index(value.encode())
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_bit_in_any_dataset_is_noticed(kept, kind, tmp_path, caplog):
    path, read = kept[kind]
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    read(copy)  # whole
    dice = random.Random(kind)
    places = places_of_datasets(path)
    assert len(places) > 3
    for place in places.values():
        copy.write_bytes(flipped(path.read_bytes(), place, dice.randrange(8)))
        if kind == "unfinished":  # training starts afresh, and says why
            caplog.clear()
            assert read(copy) is None
            assert f"{copy}: is damaged" in caplog.text
            continue
        with pytest.raises(DamagedError, match="gengap fsck") as caught:
            read(copy)
        assert str(caught.value).startswith(f"{copy}: is damaged")


@pytest.mark.parametrize("kind", KINDS)
def test_a_bit_anywhere_is_noticed(kept, kind, tmp_path):
    path, _ = kept[kind]
    content, copy, dice = path.read_bytes(), tmp_path / path.name, random.Random(kind)
    for place in (*range(520), *(dice.randrange(len(content)) for _ in range(200))):
        copy.write_bytes(flipped(content, place, dice.randrange(8)))
        with pytest.raises(file_digest.ContentError):
            file_digest.check(copy)


@pytest.mark.parametrize("damage", ["emptied page", "exchanged pages", "lost end", "more at the end", "lost block"])
def test_what_a_power_cut_leaves_is_noticed(tmp_path, damage):
    path = tmp_path / "file.h5"
    with storage.writing(path, "probe", {}) as file:
        file["x"] = np.random.default_rng(0).normal(size=300_000)  # more than is read at once
    content = path.read_bytes()
    pages = [content[at : at + 4096] for at in range(0, len(content), 4096)]
    pages[300:302] = {"emptied page": [bytes(4096), pages[301]], "exchanged pages": pages[301:299:-1]}.get(
        damage, pages[300:302]
    )
    changed = b"".join(pages)
    changed = {
        "lost end": changed[:-1],
        "more at the end": changed + b"\0",
        "lost block": bytes(512) + changed[512:],
    }.get(damage, changed)
    assert changed != content
    path.write_bytes(changed)
    with pytest.raises(DamagedError), storage.reading(path, "probe"):
        pass


def test_a_damaged_entry_of_the_store_is_set_aside(finished_workspace, tmp_path):
    entry, *_ = cell_store.entries(finished_workspace / ".gengap/store")
    settings = cell_store.settings(entry)
    copy = tmp_path / "cells" / entry.parent.name / entry.name
    copy.parent.mkdir(parents=True)
    content, dice = entry.read_bytes(), random.Random(0)
    for place in places_of_datasets(entry).values():
        copy.write_bytes(flipped(content, place, dice.randrange(8)))
        assert cell_store.get(tmp_path, entry.stem, "cell", Cell.from_identity(settings)) is None
        assert copy.with_suffix(".damaged").read_bytes() != content


def test_a_file_of_before_has_no_digest_and_is_read(tmp_path):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs.update(kind="probe", format=1, provenance="{}")
        file["x"] = np.arange(3)
    assert not file_digest.check(tmp_path / "old.h5")
    with storage.reading(tmp_path / "old.h5", "probe") as file:
        assert list(file["x"]) == [0, 1, 2]


def test_the_digest_is_that_of_the_content(tmp_path):
    for name, number in (("a", 1), ("b", 1), ("c", 2)):
        with storage.writing(tmp_path / name, "probe", {}) as file:
            file["x"] = number
    found = {name: file_digest.read(tmp_path / name) for name in "abc"}
    assert found["a"] == found["b"] != found["c"]
