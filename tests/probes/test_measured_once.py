"""A checkpoint is measured once: what a pack's file or the store holds is kept, with the bits of measuring all."""

import sys
import types
from pathlib import Path

import pytest
import torch
from stored import edited

from gengap import labels, layout, probes, registry
from gengap.engine import stack, weights
from gengap.files import storage
from gengap.labels import LabelledData
from gengap.models import build
from gengap.probes.context import Measurement
from gengap.probes.identity import identities
from gengap.registry import Entry
from gengap.registry.code_dependencies import code_of_part
from gengap.studies import identity
from gengap.studies.settings import Cell
from gengap.studies.study import Probe

CELLS = {f"seed={seed}": Cell.model_validate({"model": {"width": 2}, "seed": seed}) for seed in range(4)}
TRIAL = Entry(module="gengap.probes.trial", path=Path("trial.py"), summary="A trial.", uses=("weight_norm",))


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(60, 3, 8, 8, generator=generator)
    values = (images[:, 0].mean(dim=(1, 2)) > 0).long() * 2 - 1
    return LabelledData(images[:40], values[:40], images[40:], values[40:], 2, "digest")


def write_weights(path, names, epochs=(0.0, 1.0, 2.0), factor=0.1):
    """Each cell's start, moved a little from epoch to epoch."""
    arch = stack.architecture(build(Cell().model, (3, 8, 8), 1))
    cells = {name: CELLS[name] for name in names}
    start = stack.initial_state(list(cells.values()), (3, 8, 8), 1, dtype=torch.float32, device=torch.device("cpu"))
    saved = {
        name: {
            epoch: {
                key: value[place] * (1 if key in arch.buffers else 1 + factor * epoch) for key, value in start.items()
            }
            for epoch in epochs
        }
        for place, name in enumerate(cells)
    }
    weights.write(path, saved, {name: cell.model_dump(mode="json") for name, cell in cells.items()}, (3, 8, 8), 1, {})
    return path


@pytest.fixture
def measure(tmp_path, data):
    """Measures cells of a pack; returns how many checkpoints that were."""

    def run(probe, names, output, *, store=None, factor=0.1):
        cells = {name: CELLS[name] for name in names}
        path = write_weights(tmp_path / f"{output.stem}-weights.h5", names, factor=factor)
        return probes.measure_pack(probe, cells, path, data, output, store_folder=store, device="cpu").work

    return run


def bits(path):
    """All that a probe's file holds, its provenance apart."""
    with storage.reading(path, "probe") as file:
        return {name: repr(file[name][()].tolist()) for name in storage.dataset_names(file)}  # NaN is equal to NaN


@pytest.mark.parametrize(
    "probe",
    [
        Probe(name="distance"),
        pytest.param(Probe(name="performance"), marks=pytest.mark.thorough),
        pytest.param(Probe(name="layer_reset", epochs="last", samples=5), marks=pytest.mark.thorough),
    ],
)
def test_new_cells_alone_are_measured_with_the_bits_of_measuring_all(tmp_path, measure, probe):
    each = 1 if probe.epochs == "last" else 3
    grown, whole = tmp_path / "grown.h5", tmp_path / "whole.h5"
    assert measure(probe, ["seed=0", "seed=2"], grown) == 2 * each
    assert measure(probe, ["seed=0", "seed=1", "seed=2", "seed=3"], grown) == 2 * each
    assert measure(probe, ["seed=0", "seed=1", "seed=2", "seed=3"], whole) == 4 * each
    assert bits(grown) == bits(whole)
    assert measure(probe, ["seed=0", "seed=1", "seed=2", "seed=3"], grown) == 0
    assert bits(grown) == bits(whole)


def test_cells_that_are_no_longer_in_the_pack_leave_its_file(tmp_path, measure):
    probe, shrunk, whole = Probe(name="performance"), tmp_path / "shrunk.h5", tmp_path / "whole.h5"
    measure(probe, ["seed=0", "seed=1"], shrunk)
    assert measure(probe, ["seed=1"], shrunk) == 0
    measure(probe, ["seed=1"], whole)
    assert bits(shrunk) == bits(whole)


def test_the_store_serves_another_pack_and_a_lost_file(tmp_path, measure):
    probe, store = Probe(name="gradient"), tmp_path / "store"
    first, other = tmp_path / "first.h5", tmp_path / "other.h5"
    assert measure(probe, ["seed=0", "seed=1"], first, store=store) == 6
    assert measure(probe, ["seed=1", "seed=2"], other, store=store) == 3
    expected = bits(first)
    first.unlink()
    assert measure(probe, ["seed=0", "seed=1"], first, store=store) == 0
    assert bits(first) == expected


def test_more_epochs_of_a_probe_are_added_to_those_that_are_known(tmp_path, measure):
    store, output = tmp_path / "store", tmp_path / "p.h5"
    assert measure(Probe(name="performance", epochs="last"), ["seed=0"], output, store=store) == 1
    assert measure(Probe(name="performance", epochs=(0.0, 1.0)), ["seed=0"], output, store=store) == 2
    output.unlink()
    assert measure(Probe(name="performance"), ["seed=0"], output, store=store) == 0


@pytest.mark.parametrize(
    "other", [{"batchnorm": "running"}, {"samples": 20}], ids=["another mode", "another number of samples"]
)
def test_other_options_measure_again(tmp_path, measure, other):
    store, output = tmp_path / "store", tmp_path / "p.h5"
    assert measure(Probe(name="gradient", batchnorm="batch"), ["seed=0"], output, store=store) == 3
    assert measure(Probe(**{"name": "gradient", "batchnorm": "batch", **other}), ["seed=0"], output, store=store) == 3


def test_other_weights_of_the_same_settings_are_measured_again(tmp_path, measure):
    """As another machine or another PyTorch trains them."""
    probe, store, output = Probe(name="performance"), tmp_path / "store", tmp_path / "p.h5"
    assert measure(probe, ["seed=0"], output, store=store) == 3
    assert measure(probe, ["seed=0"], output, store=store, factor=0.2) == 3


def test_edited_code_measures_again(tmp_path, measure, monkeypatch):
    probe, store, output = Probe(name="performance"), tmp_path / "store", tmp_path / "p.h5"
    before = identity.method(probe)
    measure(probe, ["seed=0"], output, store=store)
    edited = code_of_part("probe", "performance")[0]
    real = identity._content
    monkeypatch.setattr(identity, "_content", lambda path: f"{real(path)}{path.name == Path(edited).name}")
    assert identity.method(probe) != before
    assert measure(probe, ["seed=0"], output, store=store) == 3


def test_other_data_are_other_measurements(data):
    known = [
        identities(Probe(name="performance"), CELLS, digests, dict.fromkeys(CELLS, "weights"))
        for digests in (labels.Digests("a"), labels.Digests("b"), labels.Digests("a", "teacher"))
    ]
    assert len({one["seed=0"] for one in known}) == 3
    assert len(set(known[0].values())) == len(CELLS)


def test_a_damaged_entry_is_set_aside_and_measured_again(tmp_path, measure, caplog):
    probe, store, output = Probe(name="performance"), tmp_path / "store", tmp_path / "p.h5"
    measure(probe, ["seed=0"], output, store=store)
    expected = bits(output)
    (entry,) = layout.stored_measurements(store).glob("*/*.h5")
    output.unlink()
    content = bytearray(entry.read_bytes())
    content[: len(content) // 2] = bytes(len(content) // 2)
    entry.write_bytes(content)
    assert measure(probe, ["seed=0"], output, store=store) == 3
    assert bits(output) == expected
    assert "set aside" in caplog.text


def test_what_failed_is_tried_again_and_the_rest_is_kept(tmp_path, measure, monkeypatch):
    module = types.ModuleType("gengap.probes.trial")
    monkeypatch.setitem(sys.modules, "gengap.probes.trial", module)
    monkeypatch.setitem(registry.REGISTRY["probe"], "trial", TRIAL)
    output, store = tmp_path / "p.h5", tmp_path / "store"
    full = True

    def norm(context):
        if full and any(cell.seed == 1 for cell in context.cells):
            raise RuntimeError("out of memory")
        return [Measurement("weight_norm", torch.ones(len(context.cells), dtype=torch.float64))]

    module.measure = norm
    probe = Probe(name="trial", batchnorm="running")
    assert measure(probe, ["seed=0", "seed=1"], output, store=store) == 6
    assert bits(output)["failures/why"].count("out of memory") == 3
    full = False
    assert measure(probe, ["seed=0", "seed=1"], output, store=store) == 3
    assert bits(output)["failures/why"] == "[]"
    assert bits(output)["measurements/value"] == repr([1.0] * 6)


def test_a_file_of_a_version_without_identities_is_measured_again(tmp_path, measure):
    probe, output = Probe(name="performance"), tmp_path / "p.h5"
    measure(probe, ["seed=0"], output)
    with edited(output) as file:
        del file["checkpoints"]
    assert measure(probe, ["seed=0"], output) == 3
    assert measure(probe, ["seed=0"], output) == 0
