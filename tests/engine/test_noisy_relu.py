"""Noise before every ReLU against an ordinary module with hooks."""

import pytest
import torch
from torch import nn
from torch.func import vmap

from gengap import models
from gengap.engine import stack
from gengap.engine.layers import noise
from gengap.errors import UserError
from gengap.studies.settings import Cell, Model

IMAGE = (3, 8, 8)
PLACES = {
    "block1.relu1.noise": (5, 4, 4),
    "block1.relu2.noise": (5, 4, 4),
    "block2.relu1.noise": (5, 2, 2),
    "block2.relu2.noise": (5, 2, 2),
    "hidden.relu.noise": (5,),
}


@pytest.fixture
def arch():
    return stack.architecture(models.build(Model(width=5), IMAGE, 1))


def test_noise_enters_before_every_relu_in_order_of_use(arch):
    found = noise.buffer_shapes(noise.noisy(arch.training, "unit"), IMAGE)
    assert list(found.items()) == list(PLACES.items())


def test_the_architecture_itself_stays_as_it_was(arch):
    before = (arch.parameters, arch.buffers)
    network = noise.noisy(arch.training, "unit")
    assert [name for name, _ in network.named_parameters()] == list(arch.parameters)
    assert (
        tuple(n for n, _ in arch.training.named_parameters()),
        tuple(n for n, _ in arch.training.named_buffers()),
    ) == before
    assert not any(isinstance(layer, noise.NoisyReLU) for layer in arch.training.modules())


@pytest.mark.parametrize(
    ("mode", "compiled"), [("shared", False), ("unit", False), pytest.param("unit", True, marks=pytest.mark.thorough)]
)
def test_a_noisy_stack_equals_plain_modules_with_noise_added_by_hooks(arch, mode, compiled):
    """Outputs, new running statistics and gradients of two networks, float64."""
    cells = [Cell.model_validate({"model": {"width": 5}, "seed": seed}) for seed in range(2)]
    state = stack.initial_state(cells, IMAGE, 1, dtype=torch.float64, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 6, *IMAGE, generator=generator, dtype=torch.float64)
    shapes = {name: shape[1:] if mode == "shared" else (6, *shape) for name, shape in PLACES.items()}
    fields = {n: torch.randn(2, *shape, generator=generator, dtype=torch.float64) for n, shape in shapes.items()}
    network = noise.noisy(arch.training, "unit")

    def loss(parameters, buffers, field, x):
        outputs, new = stack.outputs_and_buffers(arch, network, {**parameters, **buffers, **field}, x)
        return outputs.sum(), (outputs, new)

    call = vmap(torch.func.grad(loss, has_aux=True))
    if compiled:
        call = torch.compile(call, backend="aot_eager", fullgraph=True, dynamic=False)
    parameters = {name: state[name] for name in arch.parameters}
    gradients, (outputs, buffers) = call(parameters, {name: state[name] for name in arch.buffers}, fields, images)
    assert buffers.keys() == set(arch.buffers)
    for place in range(2):
        plain = models.build(cells[place].model, IMAGE, 1).double()
        plain.load_state_dict({name: value[place] for name, value in state.items()}, strict=False)
        for name, layer in plain.named_modules():
            if isinstance(layer, nn.ReLU):
                field = fields[f"{name}.noise"][place]
                layer.register_forward_pre_hook(lambda _, inputs, field=field: (inputs[0] + field,))
        expected = plain(images[place])
        torch.testing.assert_close(outputs[place], expected, rtol=1e-10, atol=1e-12)
        expected.sum().backward()
        for name, parameter in plain.named_parameters():
            torch.testing.assert_close(gradients[name][place], parameter.grad, rtol=1e-8, atol=1e-10)
        for name in arch.buffers:
            torch.testing.assert_close(buffers[name][place], plain.state_dict()[name], rtol=1e-10, atol=1e-12)


def test_a_network_without_relu_modules_is_refused():
    arch = stack.architecture(nn.Sequential(nn.Flatten(), nn.Linear(192, 1)))
    with pytest.raises(UserError, match="noise_std"):
        noise.noisy(arch.training, "unit")
