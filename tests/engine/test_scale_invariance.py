"""Which layers' scales play no part: by hand, and by multiplying every layer of every model."""

import operator

import pytest
import torch
from torch import nn

from gengap import models, registry
from gengap.engine import stack
from gengap.engine.graph.scale_invariance import scales
from gengap.engine.layers.batchnorm import FunctionalBatchNorm
from gengap.errors import UserError
from gengap.studies.settings import Model

SETTINGS = {name: {"name": name, "width": 2} for name in registry.REGISTRY["model"]}
SETTINGS["vit"]["width"] = 8  # of two units, LayerNorm leaves the signs alone
SETTINGS |= {"mlp, after": {"name": "mlp", "batchnorm": "after"}, "lenet, before": {"name": "lenet"}}
SETTINGS["lenet, before"] |= {"width": 2, "batchnorm": "before"}
SHAPE = (3, 32, 32)


def scales_of(**settings):
    return scales(stack.architecture(models.build(Model(**settings), SHAPE, 2)))


def test_song_by_hand():
    hidden = scales_of(width=2)
    assert hidden.layers[-2:] == ("hidden.linear", "output")
    assert tuple(hidden.scale_free) == hidden.layers[:-1]
    assert hidden.scale_free["block2.shortcut"] == ("block2.shortcut_bn",)
    assert hidden.output_norms == ("hidden.bn",)
    assert set(scales_of(width=2, head="linear").output_norms) == {"block2.bn2", "block2.shortcut_bn"}


def test_without_batchnorm_every_scale_counts():
    found = scales_of(name="mlp", width=2)
    assert found.layers == ("linear1", "linear2", "output")
    assert (found.scale_free, found.output_norms) == ({}, ())


def test_a_sum_with_a_constant_or_with_the_input_has_no_scale():
    class Shifted(nn.Module):
        def __init__(self, input_too):
            super().__init__()
            self.first, self.bn, self.output = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Linear(3, 1)
            self.input_too = input_too

        def forward(self, x):
            y = operator.add(self.bn(self.first(x) + 1), x if self.input_too else 1)
            return self.output(y.mean(dim=(2, 3)))

    for input_too in (True, False):
        found = scales(stack.architecture(Shifted(input_too)))
        assert (found.scale_free, found.output_norms) == ({}, ())


def test_a_forward_pass_without_a_graph_is_refused():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.output = nn.Linear(3, 1)

        def forward(self, x):
            return self.output(x.view(len(x), -1))

    with pytest.raises(UserError, match=r"init.name: .*choose another init"):
        scales(stack.architecture(Counting()))


@pytest.mark.parametrize("name", SETTINGS)
def test_every_model_by_multiplying_its_layers(name):
    """Outputs of He's start stay if, and only if, the layer is called scale free; eps is made tiny."""
    torch.manual_seed(0)
    network = models.build(Model(**SETTINGS[name]), SHAPE, 2).double()
    arch = stack.architecture(network)
    found = scales(arch)
    for module in arch.batch.modules():
        if isinstance(module, FunctionalBatchNorm):
            module.eps = 1e-30
    generator = torch.Generator().manual_seed(1)
    state = {
        key: torch.randn(value.shape, generator=generator, dtype=torch.float64) / value[0].numel() ** 0.5
        if value.dim() > 1
        else torch.zeros_like(value)
        if key.endswith("bias")
        else torch.ones_like(value)
        for key, value in network.state_dict().items()
        if value.is_floating_point()
    }
    images = torch.randn(6, *SHAPE, generator=generator, dtype=torch.float64)

    def outputs(changes):
        changed = {key: value * changes.get(key, 1) for key, value in state.items()}
        stacked = {key: value.unsqueeze(0) for key, value in changed.items()}
        return torch.func.vmap(lambda one: torch.func.functional_call(arch.batch, one, (images,)))(stacked)

    before = outputs({})
    assert before.std() > 0
    free = {
        layer
        for layer in arch.layers
        if torch.allclose(outputs({f"{layer}.weight": 3.0}), before, rtol=1e-6, atol=1e-9 * before.abs().max().item())
    }
    assert set(found.scale_free) == free
    assert set(found.layers) == set(arch.layers)
    if found.output_norms:
        scaled = outputs({f"{norm}.weight": 3.0 for norm in found.output_norms})
        torch.testing.assert_close(scaled, 3 * before, rtol=1e-6, atol=1e-9)
