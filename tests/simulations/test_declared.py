"""A simulation returns exactly the quantities that its header names."""

import pytest
import torch
from torch_files import stored_vgg

from gengap import registry, simulations
from gengap.errors import UserError
from gengap.simulations import pretrained_biases
from gengap.studies.simulation import Point

TINY = {
    "random_matrix": {"rows": 6, "columns": 3, "spectrum_values": 3},
    "linear_gradient": {"depth": 2, "width": 3, "batch_size": 4},
    "resnet34_gradient": {"batch_size": 2},
    "near_teacher": {"steps": 2, "records": 2},
    "lottery": {"steps": 2},
    "matrix_dynamics": {"steps": 2, "records": 2},
    "wide_network_rate": {"width": 4, "samples": 4, "steps": 9},
    "minima_path": {"width": 4, "samples": 4, "steps": 2, "points": 2},
    "random_features": {"samples": 12, "test_samples": 5, "features": 9},
    "random_forest": {"samples": 12, "test_samples": 5},
}


@pytest.mark.parametrize("name", registry.REGISTRY["simulation"])
def test_what_is_returned_is_what_is_declared(name, tmp_path, monkeypatch):
    monkeypatch.setenv("GENGAP_DATA_ROOT", str(tmp_path))
    _, file = stored_vgg(tmp_path)  # torchvision's own is not downloaded
    monkeypatch.setattr(pretrained_biases, "raw_files", lambda point: [(file, "an address")])
    point = Point.model_validate({"simulation": name, **TINY.get(name, {})})
    entry = registry.check("simulation", name)
    data = (None,) if "dataset" in entry.options else ()
    found = registry.load("simulation", name).simulate(point, (0,), torch.device("cpu"), *data)
    assert set(found) == set(entry.measured)


def test_an_undeclared_quantity_is_told_with_file_and_key(tmp_path, monkeypatch):
    module = registry.load("simulation", "linear_gradient")
    monkeypatch.setattr(module, "simulate", lambda point, seeds, device: {"luck": torch.zeros(len(seeds))})
    point = Point(simulation="linear_gradient")
    said = "linear_gradient.py: PART: quantities: lacks 'luck', which the simulation 'linear_gradient' returns"
    with pytest.raises(UserError, match=said):
        simulations.simulate_point("base", point, tmp_path / "out.h5", device="cpu")
    assert list(tmp_path.iterdir()) == []
