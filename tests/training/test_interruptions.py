"""Packs that the kernels train end with the same bits, however often they are interrupted."""

import os
import signal

import pytest
import torch

from gengap import registry
from gengap.engine.cpu import operators
from gengap.errors import UserError
from gengap.labels import LabelledData
from gengap.registry import REGISTRY
from gengap.studies.settings import Cell
from gengap.training import (
    RunOptions,
    cell_result,
    cell_store,
    loop,
    pack_state,
    resume,
    serialization,
    train_pack,
)
from gengap.training.step import NetworkState

pytestmark = pytest.mark.skipif(not operators.available(), reason="no C++ compiler")


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(130, 3, 8, 8, generator=generator)
    labels = (images[:, 0].mean(dim=(1, 2)) > 0).long() * 2 - 1
    return LabelledData(images[:100], labels[:100], images[100:], labels[100:], 2, "digest")


def cells(**settings):
    """Of unequal length, so that the stack shrinks; three steps of 32 samples and one of 4 an epoch."""
    training = {"batch_size": 32, "snapshots": [0, 0.5, 1]}
    return {
        str(epochs): Cell.model_validate(
            {"model": {"width": 3}, "training": {**training, "epochs": epochs}, "seed": epochs, **settings}
        )
        for epochs in (1, 2, 3)
    }


def trained(pack, data, folder, monkeypatch, every=None):
    """What a pack ends with, stopped after every so many steps."""
    paths = folder / "weights.h5", folder / "history.h5"
    options = RunOptions(device="cpu", store_folder=folder / "store", compile_step="off")
    whole_step = resume.Saver.step
    while not paths[0].exists():
        steps = 0

        def step(saver, *given):
            nonlocal steps
            steps += 1
            if every is not None and steps > every:
                saver._signal = signal.SIGTERM
            whole_step(saver, *given)

        monkeypatch.setattr(resume.Saver, "step", step)
        try:
            train_pack(pack, data, *paths, options)
        except UserError as error:
            assert "Run it again" in str(error)  # noqa: PT017
    return {name: bits(record) for name, record in cell_result.read(pack, *paths).items()}


def bits(record):
    states = {
        at: {key: value.numpy().tobytes() for key, value in state.items()} for at, state in record.checkpoints.items()
    }
    return [(at, quantity, value.hex()) for at, quantity, value in record.history], states


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", sorted(REGISTRY["optimizer"]))
def test_every_optimiser_goes_on_with_the_same_bits(name, masked, data, tmp_path, monkeypatch):
    if masked:
        start = pack_state.start

        def pruned(results, arch, state, _=None):
            generator = torch.Generator().manual_seed(1)
            layers = [f"{layer}.weight" for layer in arch.layers]
            masks = {key: (torch.rand(state[key].shape, generator=generator) > 0.3).float() for key in layers}
            return start(results, arch, {**state, **{key: state[key] * masks[key] for key in masks}}, masks)

        monkeypatch.setattr(pack_state, "start", pruned)
    pack = cells(optimizer={"name": name, "lr": 0.01})
    expected = trained(pack, data, tmp_path / "quiet", monkeypatch)
    assert trained(pack, data, tmp_path / "interrupted", monkeypatch, every=3) == expected


def test_an_optimiser_that_keeps_nothing_goes_on_too(data, tmp_path, monkeypatch):
    plain = registry.load("optimizer", "sgd")
    monkeypatch.setattr(plain, "start", lambda parameters: {})
    monkeypatch.setattr(
        plain,
        "step",
        lambda parameters, gradients, state, numbers, settings: (
            {name: value - 0.01 * gradients[name] for name, value in parameters.items()},
            state,
        ),
    )
    pack = cells(model={"name": "song", "width": 3, "norm": "layer"})  # which our kernels do not train
    expected = trained(pack, data, tmp_path / "quiet", monkeypatch)
    assert trained(pack, data, tmp_path / "interrupted", monkeypatch, every=3) == expected


@pytest.mark.parametrize("change", ["swapped", "renamed", "one is new"])
def test_saved_networks_are_known_by_their_settings_whatever_they_are_called(change, data, tmp_path, monkeypatch):
    """Arms of a study may change places between two runs."""
    slow, fast = ({**cells(optimizer={"lr": lr})} for lr in (0.001, 0.1))
    before = {"a": slow["3"], "b": fast["3"]}
    after = {"swapped": {"a": fast["3"], "b": slow["3"]}, "renamed": {"c": slow["3"], "d": fast["3"]}}
    after["one is new"] = {"b": slow["3"], "a": fast["3"]}
    paths = tmp_path / "weights.h5", tmp_path / "history.h5"
    options = RunOptions(device="cpu", store_folder=tmp_path / "store", compile_step="off")
    whole_step = resume.Saver.step

    def stopping(saver, pack, results):
        if (pack.epoch, pack.step) == (1, 2):
            saver._signal = signal.SIGTERM
        whole_step(saver, pack, results)

    with monkeypatch.context() as patch:
        patch.setattr(resume.Saver, "step", stopping)
        with pytest.raises(UserError, match="Run it again"):
            train_pack(before, data, *paths, options)
    train_pack(after[change], data, *paths, options)
    found = cell_result.read(after[change], *paths)
    for name, cell in after[change].items():
        alone = trained({name: cell}, data, tmp_path / f"alone {name}", monkeypatch)
        assert bits(found[name])[0][0] == alone[name][0][0]
        rates = [value for _, quantity, value in found[name].history if quantity == "lr"]
        assert rates == pytest.approx([cell.optimizer.lr] * len(rates))


def test_thousands_of_networks_can_be_saved(tmp_path):
    cell = Cell.model_validate({"model": {"name": "mlp", "width": 1, "depth": 1}})
    first = {0.0: {"w": torch.zeros(1)}}
    results = [cell_result.CellResult(f"seed={seed}", cell, str(seed), 1, first) for seed in range(9000)]
    networks = NetworkState({"w": torch.zeros(9000, 1)}, {}, {})
    pack = pack_state.PackState(results, networks, curvature=[0.5] * 9000, products=[1] * 9000)
    resume.write(tmp_path / "saved.h5", pack, results)
    found, _ = resume.read(tmp_path / "saved.h5", results, torch.device("cpu"))
    assert found.curvature == pack.curvature
    assert found.products == pack.products
    assert [result.name for result in found.results] == [result.name for result in results]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_last_step_ends_the_run_and_loses_nothing(number, data, tmp_path, monkeypatch, caplog):
    whole = loop.train

    def then_interrupted(*given, **options):
        found = whole(*given, **options)
        os.kill(os.getpid(), number)
        return found

    monkeypatch.setattr(loop, "train", then_interrupted)
    paths = tmp_path / "weights.h5", tmp_path / "history.h5"
    options = RunOptions(device="cpu", store_folder=tmp_path / "store", compile_step="off")
    with pytest.raises(UserError, match=rf"stopped by {number.name} after the last step\. Run it again"):
        train_pack(cells(), data, *paths, options)
    with caplog.at_level("INFO"):
        train_pack(cells(), data, *paths, options)
    assert "0 of 3 cells are to be trained" in caplog.text
    without = tmp_path / "no store" / "weights.h5", tmp_path / "no store" / "history.h5"
    train_pack(cells(), data, *without, RunOptions(device="cpu", compile_step="off"))
    assert cell_result.read(cells(), *without).keys() == cells().keys()


def test_a_damaged_entry_that_another_job_sets_aside_meanwhile(data, tmp_path, monkeypatch):
    pack, paths = cells(), (tmp_path / "weights.h5", tmp_path / "history.h5")
    options = RunOptions(device="cpu", store_folder=tmp_path / "store", compile_step="off")
    train_pack(pack, data, *paths, options)
    entries = list((tmp_path / "store").rglob("*.h5"))
    read = serialization.read_results

    def damaged(group):
        for entry in entries:
            entry.unlink(missing_ok=True)
        read(group)
        raise ValueError("its content is not what was written")

    monkeypatch.setattr(serialization, "read_results", damaged)
    identity = cell_result.read(pack, *paths)["1"].identity
    assert cell_store.get(tmp_path / "store", identity, "1", pack["1"]) is None
