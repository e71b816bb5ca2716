"""Packs that the kernels train end with the same bits, however often they are interrupted."""

import signal

import pytest
import torch

from gengap.engine.cpu import operators
from gengap.errors import UserError
from gengap.labels import LabelledData
from gengap.registry import REGISTRY
from gengap.studies.settings import Cell
from gengap.training import RunOptions, cell_result, pack_state, resume, train_pack

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
