import dataclasses
import itertools

import pytest
import torch

from gengap.labels import LabelledData
from gengap.studies.settings import Cell


@pytest.fixture
def data():
    """A small problem in float64 that a width-3 network can learn: the sign of one channel's mean."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(130, 3, 8, 8, generator=generator, dtype=torch.float64)
    labels = (images[:, 0].mean(dim=(1, 2)) > 0).long() * 2 - 1
    return LabelledData(images[:100], labels[:100], images[100:], labels[100:], 2, "digest")


@pytest.fixture
def other_data(data):
    return dataclasses.replace(data, digest="other")


@pytest.fixture
def make_cell():
    """A cell in float64: 100 samples in batches of 30, so 4 steps per epoch and a smaller last batch."""

    def make(seed=0, **sections):
        content = {
            "model": {"width": 3},
            "optimizer": {"lr": 0.05},
            "training": {"batch_size": 30, "epochs": 3, "dtype": "float64", "snapshots": [0, 0.5, 1]},
            "seed": seed,
        }
        for section, values in sections.items():
            content[section] = content.get(section, {}) | values
        return Cell.model_validate(content)

    return make


@pytest.fixture
def train(data, tmp_path):
    """Train cells together, or in packs of the given size, each time anew, and return their records by name."""
    from gengap.training import RunOptions, cell_result, train_pack

    runs = itertools.count()

    def run(cells, pack_size=None, **options):
        names, found, number = list(cells), {}, next(runs)
        for at in range(0, len(names), pack_size or len(names)):
            pack = {name: cells[name] for name in names[at : at + (pack_size or len(names))]}
            folder = tmp_path / f"{number}-{at}"
            paths = folder / "weights.h5", folder / "history.h5"
            train_pack(
                pack,
                options.get("data", data),
                *paths,
                RunOptions(device="cpu", compile_step=options.get("compile", "off")),
            )
            found |= cell_result.read(pack, *paths)
        return found

    return run


@pytest.fixture
def compiled_graphs(monkeypatch):
    """The graphs of steps that are compiled, in a list that grows."""
    from gengap.training import compilation

    compiles, graphs = compilation._compiled_graph, []
    monkeypatch.setattr(compilation, "_compiled_graph", lambda *given: graphs.append(compiles(*given)) or graphs[-1])
    return graphs
