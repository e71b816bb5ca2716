"""A probe on a real pack: arrays in its file and in the collected evidence, one network's failure beside the others."""

import sys
import types
from pathlib import Path

import pytest
import torch

from gengap import probes, registry
from gengap.errors import UserError
from gengap.evidence import collect, measurements
from gengap.files import arrays, storage
from gengap.labels import LabelledData
from gengap.probes.context import Measurement
from gengap.registry import Entry
from gengap.studies.settings import Cell
from gengap.studies.study import Probe, load_study
from gengap.training import RunOptions, train_pack

STUDY = """
title: A pack of three
base:
  labels: {name: teacher, train_size: 40, test_size: 20}
  model: {width: 2}
  training: {epochs: 2, batch_size: 20, snapshots: [0, 1]}
grid: {seed: 0..2}
probes: [performance]
"""


TRIAL = Entry(module="gengap.probes.trial", path=Path("trial.py"), summary="A trial.", uses=("weight_norm",))


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """A study of one trained pack of three cells: (study, its data, its folder)."""
    folder = tmp_path_factory.mktemp("pack")
    (folder / "small.yaml").write_text(STUDY)
    study = load_study(folder / "small.yaml")
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(60, 3, 8, 8, generator=generator)
    labels = torch.randn(60, generator=generator).sign().long()
    data = LabelledData(images[:40], labels[:40], images[40:], labels[40:], 2, "digest")
    train_pack(study.cells, data, folder / "weights.h5", folder / "history.h5", RunOptions(compile_step="off"))
    return study, data, folder


@pytest.fixture
def probe_of(monkeypatch):
    """Registers a function as a probe, under the name `trial`."""

    def register(measure):
        module = types.ModuleType("gengap.probes.trial")
        module.measure = measure
        monkeypatch.setitem(sys.modules, "gengap.probes.trial", module)
        monkeypatch.setitem(registry.REGISTRY["probe"], "trial", TRIAL)
        return Probe(name="trial", batchnorm="running")

    return register


@pytest.mark.parametrize("name", ["batchnorm_bias", "distance", "node_norms", "sparsity"])
def test_no_statistics_are_measured_for_what_reads_weights_alone(pack, name, tmp_path, monkeypatch):
    study, data, folder = pack

    def measure(path):
        probe = Probe(name=name, batchnorm="exact")
        probes.measure_pack(probe, study.cells, folder / "weights.h5", data, tmp_path / path, device="cpu")
        with storage.reading(tmp_path / path, "probe") as file:
            return storage.read_table(file, "measurements"), storage.read_table(file, "failures")

    monkeypatch.setattr(probes.evaluation, "for_mode", lambda *_: pytest.fail("statistics were measured"))
    found, failures = measure("weights.h5")
    assert len(found) > 0
    assert failures.empty
    monkeypatch.undo()
    headers = registry.REGISTRY["probe"]
    monkeypatch.setitem(headers, name, headers[name].model_copy(update={"weights_only": False}))
    assert measure("statistics.h5")[0].equals(found)


def measured(pack, probe):
    study, data, folder = pack
    path = folder / "trial.h5"
    path.unlink(missing_ok=True)  # of another function under the same name
    probes.measure_pack(probe, study.cells, folder / "weights.h5", data, path, device="cpu")
    with storage.reading(path, "probe") as file:
        return path, storage.read_table(file, "measurements"), storage.read_table(file, "failures")


def largest_weights(subject):
    flat = torch.cat([subject.state[name].flatten(1) for name in subject.arch.parameters], dim=1)
    return flat.abs().sort(dim=1, descending=True).values[:, :4].double()


def test_arrays_reach_the_evidence(pack, probe_of):
    study, _, folder = pack
    probe = probe_of(lambda subject: [Measurement("weight_norm", largest_weights(subject), "all", ("rank",))])
    path, table, failures = measured(pack, probe)
    assert table.empty
    assert failures.empty
    with storage.reading(path, "probe") as file:
        (written,) = arrays.read(file)
    assert written.values.shape == (9, 4)
    collect.collect(study, {}, [folder / "history.h5"], [path], folder / "measurements.h5", folder / "cells.csv")
    (found,) = measurements.read(folder / "measurements.h5").arrays("weight_norm")
    assert found.dims == ("rank",)
    assert (found.layer, found.probe, found.batchnorm) == ("all", "trial", "running")
    assert list(found.rows["epoch"]) == [0.0, 1.0, 2.0] * 3
    assert (found.values == written.values).all()
    assert measurements.read(folder / "measurements.h5").arrays("lr") == []
    one = found.of(["seed=1"])
    assert (one.values == found.values[3:6]).all()


def test_one_network_that_fails_leaves_the_others(pack, probe_of, caplog):
    def measure(subject):
        if any(cell.seed == 1 for cell in subject.cells):
            raise ValueError("seed 1 cannot be measured")
        return [Measurement("weight_norm", largest_weights(subject)[:, 0])]

    _, table, failures = measured(pack, probe_of(measure))
    assert sorted(set(table["cell"])) == ["seed=0", "seed=2"]
    assert len(table) == 6
    assert list(failures["cell"]) == ["seed=1"] * 3
    assert set(failures["why"]) == {"seed 1 cannot be measured"}
    assert caplog.messages.count("trial could not measure seed=1 at epoch 0 and 2 more: seed 1 cannot be measured") == 1


def test_a_number_that_is_not_finite_is_a_failure_beside_its_row(pack, probe_of):
    def measure(subject):
        values = torch.tensor([float("nan") if cell.seed == 2 else 1.0 for cell in subject.cells])
        return [Measurement("weight_norm", values)]

    _, table, failures = measured(pack, probe_of(measure))
    assert len(table) == 9
    assert list(failures["why"]) == ["weight_norm is not finite"] * 3


def test_a_probe_sees_the_saved_weights_of_other_epochs(pack, probe_of):
    seen = {}

    def measure(subject):
        seen["epochs"] = subject.epochs
        seen["measured_at"] = (*seen.get("measured_at", ()), *subject.measured_at)
        same = [
            torch.equal(subject.saved(0.0)[name][k], subject.start[name][k])
            for name in subject.arch.parameters
            for k in range(len(subject.cells))
        ]
        seen["start is epoch 0"] = all(same)
        return [Measurement("weight_norm", largest_weights(subject)[:, 0])]

    measured(pack, probe_of(measure))
    assert seen == {"epochs": (0.0, 1.0, 2.0), "measured_at": (0.0, 1.0, 2.0) * 3, "start is epoch 0": True}


def test_a_cell_that_stopped_early_hides_no_epoch_of_the_others(pack, probe_of):
    _, _, folder = pack
    cells = {
        name: Cell.model_validate({**cell.model_dump(), "training": {**cell.training.model_dump(), "epochs": epochs}})
        for (name, cell), epochs in zip(pack[0].cells.items(), (1, 2, 2), strict=True)
    }
    train_pack(cells, pack[1], folder / "w.h5", folder / "h.h5", RunOptions(compile_step="off"))
    seen = {}

    def measure(subject):
        seen.update({cell.seed: subject.epochs for cell in subject.cells})
        return [Measurement("weight_norm", largest_weights(subject)[:, 0])]

    probes.measure_pack(probe_of(measure), cells, folder / "w.h5", pack[1], folder / "p.h5", device="cpu")
    assert seen == {0: (0.0, 1.0), 1: (0.0, 1.0, 2.0), 2: (0.0, 1.0, 2.0)}
    with storage.reading(folder / "p.h5", "probe") as file:
        assert len(storage.read_table(file, "measurements")) == 2 + 3 + 3


@pytest.mark.parametrize(("quantity", "key"), [("luck", "quantities"), ("path_norm", "uses")])
def test_an_undeclared_quantity_is_told_with_file_and_key(pack, probe_of, quantity, key):
    said = rf"^trial.py: PART: {key}: lacks '{quantity}', which the probe 'trial' returns. It has: weight_norm.$"
    with pytest.raises(UserError, match=said):
        measured(pack, probe_of(lambda subject: [Measurement(quantity, torch.ones(len(subject.cells)))]))


def test_dropout_is_off_while_measuring():
    from gengap.engine import stack

    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5))
    arch = stack.architecture(network)
    assert [layer.training for layer in arch.batch] == [False, True, False]
    assert [layer.training for layer in arch.evaluation] == [False, False, False]


def test_networks_that_other_settings_have_trained_are_not_measured(pack):
    study, data, folder = pack
    name, cell = next(iter(study.cells.items()))
    changed = {name: cell.model_copy(update={"training": cell.training.model_copy(update={"epochs": 3})})}
    probe = Probe(name="performance", batchnorm="running")
    with pytest.raises(UserError, match="as other settings have trained it"):
        probes.measure_pack(probe, changed, folder / "weights.h5", data, folder / "changed.h5", device="cpu")
    assert not (folder / "changed.h5").exists()
