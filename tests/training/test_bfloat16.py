"""Training in bfloat16: what is rounded, and that weights and measurements are not."""

import dataclasses

import pytest
import torch

from gengap.engine.layers.batchnorm import FunctionalBatchNorm


@pytest.fixture
def data32(data):
    return dataclasses.replace(data, train_images=data.train_images.float(), test_images=data.test_images.float())


@pytest.mark.parametrize("compile_step", ["off", pytest.param("on", marks=pytest.mark.thorough)])
def test_a_steps_gradient_is_rounded_and_the_weights_are_float32(data32, make_cell, train, compile_step):
    cells = {
        dtype: make_cell(
            model={"name": "mlp", "width": 16, "depth": 1, "batchnorm": "before"},
            training={"batch_size": "full", "epochs": 1, "dtype": dtype},
        )
        for dtype in ("float32", "bfloat16")
    }
    compiled = {"float32": "off", "bfloat16": compile_step}
    found = {n: train({n: cell}, data=data32, compile=compiled[n])[n].checkpoints for n, cell in cells.items()}
    for name in ("linear1.weight", "output.weight"):
        start, exact, rounded = found["float32"][0.0][name], found["float32"][1.0][name], found["bfloat16"][1.0][name]
        assert rounded.dtype == torch.float32
        # bfloat16 has 8 bits: a gradient is off by about 1 %, and never exactly the same.
        assert 1e-4 < (rounded - exact).norm() / (exact - start).norm() < 0.03, name


def test_a_pack_in_bfloat16_is_near_each_network_alone(data32, make_cell, train):
    cells = {f"seed={s}": make_cell(s, training={"epochs": 1, "dtype": "bfloat16"}) for s in range(2)}
    together, alone = train(cells, data=data32), train(cells, pack_size=1, data=data32)
    for name in cells:
        for key, value in together[name].checkpoints[1.0].items():
            torch.testing.assert_close(value, alone[name].checkpoints[1.0][key], rtol=0.05, atol=0.02)


def test_batchnorm_of_bfloat16_takes_its_statistics_in_float32():
    layer = FunctionalBatchNorm(torch.nn.BatchNorm2d(3))
    x = (100 + torch.randn(64, 3, 4, 4)).bfloat16()
    plain = torch.nn.BatchNorm2d(3)
    found, expected = layer(x), plain(x.float())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.01, atol=0.01)
    torch.testing.assert_close(layer.running_var, plain.running_var)
