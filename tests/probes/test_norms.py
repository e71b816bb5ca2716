"""Norms against closed forms; the path norm also against a product of squared Jacobians, layer by layer."""

import dataclasses
import math

import pytest
import torch
from subjects import by_name, one_network, subject
from torch import nn

from gengap.engine import stack
from gengap.probes import norms


def mlp(depth=1, **model):
    """Networks 4 -> 3 -> 2 with known weights in the first, zeros in the second one's first layer."""
    model = {"name": "mlp", "width": 3, "depth": depth, **model}
    return subject({"name": "norms"}, {"model": model}, shape=(1, 2, 2), n_classes=3)


def test_layers_of_known_singular_values():
    made = mlp()
    left, right = (torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))[0] for size in (3, 4))
    made.state["linear1.weight"][0] = left @ torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)) @ right[:3]
    made.state["linear1.weight"][1] = 0
    made.state["output.weight"][:] = 2 * torch.eye(3, dtype=torch.float64)
    found = by_name(norms.measure(made))
    assert found["layer_spectral_norm", "linear1"].tolist() == pytest.approx([3, 0])
    assert found["layer_stable_rank", "linear1"][0].item() == pytest.approx(14 / 9)
    assert math.isnan(found["layer_stable_rank", "linear1"][1])
    assert found["layer_stable_rank", "output"].tolist() == pytest.approx([3, 3])
    assert found["spectral_norm_product", ""].tolist() == pytest.approx([6, 0])


def test_a_kernel_is_the_matrix_of_its_outputs_by_its_inputs():
    made = subject({"name": "norms"})
    found = by_name(norms.measure(made))
    for layer in ("block1.conv2", "block2.shortcut"):
        for place in (0, 1):
            matrix = made.state[f"{layer}.weight"][place].reshape(2, -1)
            expected = torch.linalg.svdvals(matrix)[0].item()
            assert found["layer_spectral_norm", layer][place].item() == pytest.approx(expected)


def test_path_norm_of_a_network_of_two_layers():
    """sum_ijk u_ij^2 w_jk^2, and the paths that start at the biases."""
    made = mlp()
    w, b, u, c = (made.state[name][0] for name in ("linear1.weight", "linear1.bias", "output.weight", "output.bias"))
    total = sum(
        u[i, j] ** 2 * (sum(w[j, k] ** 2 for k in range(4)) + b[j] ** 2) for i in range(3) for j in range(3)
    ) + sum(c**2)
    found = by_name(norms.measure(made))["path_norm", ""][0].item()
    assert found == pytest.approx(total.sqrt().item(), rel=1e-12)


def squared_paths(layer, x):
    """``J^2 x + f(0)^2`` of a layer that is linear up to a shift, its Jacobian taken entry by entry."""
    flat, shape = x.flatten(), x.shape

    def of_flat(v):
        return layer(v.view(shape)).flatten()

    with torch.no_grad():
        shift = of_flat(torch.zeros_like(flat))
        jacobian = torch.stack([of_flat(row) - shift for row in torch.eye(len(flat), dtype=x.dtype)], dim=1)
        return (jacobian.square() @ flat + shift.square()).view(layer(x).shape)


def sums(x, kernel, stride, ceil_mode):
    """Sum over every window of a max-pool, by loops."""
    count = lambda size: (math.ceil if ceil_mode else math.floor)((size - kernel) / stride) + 1  # noqa: E731
    rows, columns = count(x.shape[2]), count(x.shape[3])
    windows = [
        [
            x[:, :, r * stride : r * stride + kernel, c * stride : c * stride + kernel].sum((2, 3))
            for c in range(columns)
        ]
        for r in range(rows)
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in windows], dim=-2)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        ({"name": "lenet", "width": 1, "batchnorm": "before"}, (1, 16, 16)),
        ({"name": "lenet", "width": 1, "batchnorm": "after"}, (1, 16, 16)),
        ({"name": "vgg", "width": 1, "depth": 11}, (1, 5, 5)),
    ],
)
def test_path_norm_of_sequences_by_their_jacobians(model, shape):
    made = subject({"name": "norms"}, {"model": model}, shape=shape, n_train=8)
    found = by_name(norms.measure(made))["path_norm", ""]
    for place in (0, 1):
        x = torch.ones(1, *shape, dtype=torch.float64)
        for layer in one_network(made, place).children():
            if isinstance(layer, nn.MaxPool2d):
                x = sums(x, layer.kernel_size, layer.stride, layer.ceil_mode)
            elif not isinstance(layer, (nn.ReLU, nn.Dropout)):
                x = squared_paths(layer, x)
        assert found[place].item() == pytest.approx(x.sum().sqrt().item(), rel=1e-9)


@pytest.mark.parametrize(("name", "last"), [("resnet", "output"), ("song", "output")])
def test_path_norm_of_a_residual_network(name, last):
    """Scaling all weights and shifts that lead to the output, and no others, by 3 scales the path norm by 3."""
    model = {"resnet": {"name": "resnet", "width": 2, "depth": 8}, "song": {"width": 2}}[name]
    made = subject({"name": "norms"}, {"model": model}, n_train=12)
    before = by_name(norms.measure(made))["path_norm", ""]
    scaled = {key: value * 3 if key.startswith(f"{last}.") else value for key, value in made.state.items()}
    after = by_name(norms.measure(dataclasses.replace(made, state=scaled)))["path_norm", ""]
    torch.testing.assert_close(after, 3 * before, rtol=1e-12, atol=0)


class Averaged(nn.Module):
    """A convolution, a shortcut around it, the mean over pixels, a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.output = nn.Conv2d(2, 2, 3, padding=1, bias=False), nn.ReLU(), nn.Linear(2, 1)

    def forward(self, x):
        return self.output(torch.mean(self.relu(self.conv(x)) + x, dim=(2, 3)))


def test_path_norm_of_a_shortcut_and_a_mean():
    """Every pixel's path has the weight 1/9, so it counts 1/81; the shortcut's edges have the weight 1."""
    torch.manual_seed(0)
    network = Averaged().double()
    state = {name: value.detach() for name, value in network.named_parameters()}
    found = norms.path_norm(stack.architecture(network).evaluation, state, (2, 3, 3))
    conv = squared_paths(network.conv, torch.ones(1, 2, 3, 3, dtype=torch.float64))
    total = (network.output.weight[0] ** 2) @ ((conv + 1).sum((0, 2, 3)) / 81) + network.output.bias[0] ** 2
    assert found.item() == pytest.approx(total.sqrt().item(), rel=1e-12)


def test_path_norm_ignores_how_two_layers_share_a_scale():
    made = mlp(depth=2)
    state = {name: value.clone() for name, value in made.state.items()}
    for name, factor in (("linear1.weight", 8.0), ("linear1.bias", 8.0)):
        state[name][:, 1] *= factor
    state["linear2.weight"][:, :, 1] /= 8
    before, after = (
        by_name(norms.measure(one))["path_norm", ""] for one in (made, dataclasses.replace(made, state=state))
    )
    torch.testing.assert_close(after, before, rtol=1e-13, atol=0)


def test_an_unknown_module_is_refused():
    network = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Tanh())
    state = {name: value.detach() for name, value in network.named_parameters()}
    with pytest.raises(ValueError, match="'1', a Tanh"):
        norms.path_norm(stack.architecture(network).evaluation, state, (1, 4, 4))
