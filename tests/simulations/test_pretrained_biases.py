"""Shares of negative biases from a file against those of the module, and files that are missing or other ones."""

from pathlib import Path

import picture_layout
import pytest
import torch
from torch_files import stored_vgg

from gengap import simulations
from gengap.errors import UserError
from gengap.evidence import figures, measurements
from gengap.evidence.collect_simulation import collect_simulation
from gengap.evidence.figures import pretrained_biases as figure
from gengap.evidence.measurements import with_options
from gengap.evidence.tables import luck_claims
from gengap.probes.batchnorm_bias import bias_shares
from gengap.simulations import pretrained_biases
from gengap.studies.simulation import Point, load_simulation
from gengap.studies.study import Table

POINT = Point(simulation="pretrained_biases", weights="vgg11_bn", seeds=(0,))


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Small networks in the place of torchvision's, by the name of their weights."""
    monkeypatch.setenv("GENGAP_DATA_ROOT", str(tmp_path))
    made = {f"vgg{depth}_bn": stored_vgg(tmp_path, letter) for depth, letter in ((11, "A"), (16, "D"))}
    monkeypatch.setattr(pretrained_biases, "raw_files", lambda point: [(made[point.weights][1], "an address")])
    return {name: network for name, (network, _) in made.items()}


def simulate(point=POINT):
    return pretrained_biases.simulate(point, (0,), torch.device("cpu"))


@pytest.mark.parametrize("weights", ["vgg11_bn", "vgg16_bn"])
def test_shares_are_those_of_the_module(stored, weights):
    found = simulate(POINT.model_copy(update={"weights": weights}))
    expected = list(bias_shares(stored[weights]).values())
    for at, quantity in enumerate(("negative_bias_share", "nonpositive_bias_share")):
        values = found[quantity]
        assert list(values) == ["", *(f"conv{place}_bn" for place in range(1, len(expected)))]
        assert [value.tolist() for value in values.values()] == [shares[at].tolist() for shares in expected]


def test_a_missing_file_is_told_with_its_place_and_address(tmp_path, monkeypatch):
    monkeypatch.setenv("GENGAP_DATA_ROOT", str(tmp_path))
    with pytest.raises(UserError, match=rf"^{tmp_path}/torchvision/vgg11_bn-6002323d\.pth: is missing\. Get it from"):
        simulate()


def test_a_file_of_other_weights_is_refused(stored, tmp_path):
    path = tmp_path / pretrained_biases.raw_files(POINT)[0][0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="is damaged, cut short or another file: its SHA-256 begins with"):
        simulate()


@pytest.mark.usefixtures("stored")
def test_more_than_one_draw_is_refused():
    with pytest.raises(UserError, match="so 3 draws are the same"):
        simulate(POINT.model_copy(update={"seeds": (0, 1, 2)}))


def test_the_study_shows_each_network_by_its_own_layers(stored, tmp_path):
    study = load_simulation(Path(__file__).parents[2] / "config/simulations/luck_bias_imagenet.yaml")
    files = [tmp_path / f"{at}.h5" for at in range(len(study.points))]
    for file, (name, point) in zip(files, study.points.items(), strict=True):
        simulations.simulate_point(name, point, file, device="cpu")
    collect_simulation(study, files, tmp_path / "measurements.h5", tmp_path / "cells.csv")
    evidence = measurements.read(tmp_path / "measurements.h5")
    drawn = figure.data(evidence)
    assert drawn.groupby("group")["place"].max().to_dict() == {
        "VGG-11 with BatchNorm": 8,
        "VGG-16 with BatchNorm": 13,
    }
    pictures = picture_layout.drawn("pretrained_biases", evidence, tmp_path)
    assert not picture_layout.faults(pictures.of_width(figures.COLUMN))
    judged = luck_claims.table(with_options(evidence, Table(name="luck_claims"))).set_index(["claim", "networks"])
    assert set(judged["verdict"]) == {"too few seeds (1)"}
    for weights, network in stored.items():
        shares = [negative.item() for negative, _ in list(bias_shares(network).values())[1:]]
        rise = judged.loc[("biases are more negative in the top layers", f"weights {weights}"), "effect"]
        assert rise == pytest.approx(shares[-1] - shares[0])
