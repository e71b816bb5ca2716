"""LayerNorm in elementary operations against PyTorch's own, and derivatives against differences."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jvp, vmap

from gengap.engine import stack
from gengap.engine.graph.network_graph import shaped
from gengap.engine.layers import layernorm

KINDS = {
    "units": ((4,), {"eps": 1e-3}),
    "maps": ((4, 6, 6), {}),
    "no bias": ((6, 6), {"bias": False}),
    "bare": ((6,), {"elementwise_affine": False}),
}


def network(kind):
    """A convolution, the normalisation of a kind, and a linear layer."""
    shape, options = KINDS[kind]
    norm = nn.LayerNorm(shape, **options)
    if kind == "units":
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), norm, nn.Linear(4, 3)).double()
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), norm, nn.Flatten(), nn.Linear(144, 3)).double()


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_gradients_are_torchs(kind):
    theirs = network(kind)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    arch = stack.architecture(theirs)
    assert arch.parameters == tuple(name for name, _ in theirs.named_parameters())
    state = {name: value.detach() for name, value in theirs.named_parameters()}
    images = torch.randn(5, 3, 6, 6, dtype=torch.float64)

    def total(module, state):
        return functional_call(module, state, (images,)).sin().sum()

    ours, expected = (grad(lambda at, m=module: total(m, at))(state) for module in (arch.training, theirs))
    torch.testing.assert_close(functional_call(arch.evaluation, state, (images,)), theirs(images))
    for name, value in expected.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_forward_over_reverse_of_two_networks_is_the_difference_of_gradients(kind):
    arch = stack.architecture(network(kind))
    single = [dict(network(kind).named_parameters()) for _ in range(2)]
    state = {name: torch.stack([one[name].detach() for one in single]) for name in single[0]}
    along = {name: torch.randn_like(value) for name, value in state.items()}
    images = torch.randn(5, 3, 6, 6, dtype=torch.float64)

    def gradient(state):
        def loss(at):
            return functional_call(arch.training, at, (images,)).logsumexp(dim=1).square().mean()

        return vmap(grad(loss))(state)

    found = jvp(gradient, (state,), (along,))[1]
    above, below = (
        gradient({name: value + step * along[name] for name, value in state.items()}) for step in (1e-6, -1e-6)
    )
    for name, value in found.items():
        difference = (above[name] - below[name]) / 2e-6
        assert (value - difference).abs().max() < 1e-6 * (1 + difference.abs().max())


def test_a_network_with_it_has_a_graph():
    assert shaped(stack.architecture(network("maps").float()).evaluation, (3, 6, 6)) is not None


def test_bfloat16_is_normalised_in_float32():
    own = layernorm.convert(nn.Sequential(nn.LayerNorm(64)))
    x = 100 + torch.randn(8, 64)
    found = own(x.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(
        found.float(), nn.functional.layer_norm(x.bfloat16().float(), (64,)), atol=0.02, rtol=0.01
    )
