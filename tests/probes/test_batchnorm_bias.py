"""Shares of negative BatchNorm biases, counted by hand."""

import pytest
import torch
from subjects import by_name, subject
from torch import nn

from gengap.probes import batchnorm_bias


def test_shares_counted_by_hand():
    made = subject({"name": "batchnorm_bias"}, {"model": {"width": 4}})
    layers = [name for name in made.state if "bn" in name and name.endswith(".bias")]
    assert len(layers) == 7  # two per block and one per shortcut, one in the head
    for name in layers:
        made.state[name][:] = 1.0
    made.state["block1.bn1.bias"][0] = torch.tensor([-1.0, 0.0, 2.0, -3.0])
    made.state["block2.shortcut_bn.bias"][1] = torch.tensor([-1.0, -0.0, -2.0, -3.0])
    found = by_name(batchnorm_bias.measure(made))
    assert found["negative_bias_share", "block1.bn1"].tolist() == [0.5, 0]
    assert found["nonpositive_bias_share", "block1.bn1"].tolist() == [0.75, 0]
    assert found["negative_bias_share", "block2.shortcut_bn"].tolist() == [0, 0.75]
    assert found["nonpositive_bias_share", "block2.shortcut_bn"].tolist() == [0, 1]
    assert found["negative_bias_share", ""].tolist() == [2 / 28, 3 / 28]
    assert found["nonpositive_bias_share", ""].tolist() == [3 / 28, 4 / 28]


def test_any_module_such_as_torchvisions():
    from torchvision.models import vgg11_bn

    network = vgg11_bn(num_classes=2, init_weights=False)
    norms = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    assert len(norms) == 8
    for place, layer in enumerate(norms.values()):
        layer.bias.data[:] = 1
        layer.bias.data[: 8 * place] = -1
    found = batchnorm_bias.bias_shares(network)
    assert list(found) == ["", *norms]
    for place, (name, layer) in enumerate(norms.items()):
        assert found[name][0].tolist() == [8 * place / layer.num_features]
    assert found[""][0].item() == pytest.approx(8 * 28 / 2752)  # 64 + 128 + 2 x 256 + 4 x 512 biases


def test_a_network_without_batchnorm_says_so():
    with pytest.raises(ValueError, match="no BatchNorm layer"):
        batchnorm_bias.bias_shares(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False)))
