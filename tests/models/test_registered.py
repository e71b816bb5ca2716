"""What holds for every registered model: it runs on the usual images, alone and in a pack, and refuses small ones."""

import pytest
import torch
from torch import nn
from torch.func import grad, jvp, vjp, vmap

from gengap import models
from gengap.engine import stack
from gengap.errors import UserError
from gengap.labels import LabelledData
from gengap.registry import REGISTRY
from gengap.studies.settings import Cell, Model
from gengap.training import RunOptions, cell_result, train_pack

NAMES = sorted(REGISTRY["model"])
LEAST = {"lenet": 16, "keskar_conv": 4, "alexnet": 4, "patch_conv": 5, "plain_conv": 9}  # pixels of each side
LARGE = {"inception", "keskar_vgg", "resnet", "vgg", "wide_resnet"}  # the others stand for them in `make test`
torch.set_num_threads(1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 32, 32)])
def test_usual_images_give_one_row_of_outputs_each(name, image_shape):
    network = models.build(Model(name=name, width=3), image_shape, 7)
    assert network(torch.randn(2, *image_shape)).shape == (2, 7)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"vit"}))  # which has none
def test_every_relu_is_a_module_used_once(name):
    """Noise enters before a ReLU by replacing it, and would otherwise be the same at two places or missing at one."""
    network = models.build(Model(name=name, width=3), (3, 32, 32), 7)
    calls = dict.fromkeys((layer for layer in network.modules() if isinstance(layer, nn.ReLU)), 0)
    for relu in calls:
        relu.register_forward_hook(lambda layer, *_: calls.__setitem__(layer, calls[layer] + 1))
    network(torch.randn(2, 3, 32, 32))
    assert calls
    assert set(calls.values()) == {1}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.thorough] * (name in LARGE)) for name in NAMES])
def test_two_steps_in_a_pack_are_those_of_each_network_alone(name, tmp_path):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(20, 3, 16, 16, generator=generator, dtype=torch.float64)
    labels = torch.arange(20) % 3
    data = LabelledData(images[:12], labels[:12], images[12:], labels[12:], 3, "digest")
    content = {
        "model": {"name": name, "width": 2},
        "loss": "cross_entropy",
        "training": {"epochs": 1, "batch_size": 6, "dtype": "float64"},
    }
    cells = {f"seed={seed}": Cell.model_validate({**content, "seed": seed}) for seed in (0, 1)}

    def train(folder, pack):
        paths = tmp_path / folder / "weights.h5", tmp_path / folder / "history.h5"
        train_pack(pack, data, *paths, RunOptions(device="cpu", compile_step="off"))
        return cell_result.read(pack, *paths)

    together = train("both", cells)
    for seed, (label, cell) in enumerate(cells.items()):
        alone = train(label, {label: cell})[label]
        before, after = alone.checkpoints[0.0], alone.checkpoints[1.0]
        assert any((after[key] - before[key]).abs().max() > 1e-4 for key in before), seed
        for key, value in together[label].checkpoints[1.0].items():
            torch.testing.assert_close(value, after[key], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_of_one_computes_what_the_module_does(name):
    cell = Cell.model_validate({"model": {"name": name, "width": 2}})
    state = stack.initial_state([cell], (1, 16, 16), 4, dtype=torch.float64, device=torch.device("cpu"))
    network = models.build(cell.model, (1, 16, 16), 4).double().eval()
    network.load_state_dict({key: value[0] for key, value in state.items()}, strict=False)
    images = torch.randn(3, 1, 16, 16, dtype=torch.float64)
    found = stack.outputs(stack.architecture(network).evaluation, state, images)
    torch.testing.assert_close(found[0], network(images), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_too_small_images_are_refused_with_the_size_that_is_needed(name, least):
    settings = Model(name=name, width=2)
    assert models.build(settings, (1, least, least + 1), 2)(torch.zeros(2, 1, least, least + 1)).shape == (2, 2)
    with pytest.raises(UserError, match=rf"'{name}' needs images of at least {least} x {least} .* dataset.image_size"):
        models.build(settings, (1, least, least - 1), 2)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {*LEAST, "vit"}))
def test_the_other_models_take_images_of_any_size(name):
    network = models.build(Model(name=name, width=2), (1, 3, 2), 2).eval()
    assert network(torch.randn(2, 1, 3, 2)).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_products_with_the_hessian_exist_in_packs_and_both_ways_agree(name):
    cells = [Cell.model_validate({"model": {"name": name, "width": 2}, "seed": seed}) for seed in (0, 1)]
    arch = stack.architecture(models.build(cells[0].model, (3, 16, 16), 3))
    state = stack.initial_state(cells, (3, 16, 16), 3, dtype=torch.float64, device=torch.device("cpu"))
    images = torch.randn(6, 3, 16, 16, dtype=torch.float64)
    parameters = {key: state[key] for key in arch.parameters}
    buffers = {key: state[key] for key in arch.buffers}
    directions = {key: torch.randn_like(value) for key, value in parameters.items()}

    def gradient(parameters, buffers):
        def loss(parameters):
            outputs, _ = stack.outputs_and_buffers(arch, arch.batch, {**parameters, **buffers}, images)
            return nn.functional.cross_entropy(outputs, torch.arange(6) % 3)

        return grad(loss)(parameters)

    def forwards(parameters, buffers, directions):
        return jvp(lambda at: gradient(at, buffers), (parameters,), (directions,))[1]

    def backwards(parameters, buffers, directions):
        return vjp(lambda at: gradient(at, buffers), parameters)[1](directions)[0]

    one, other = (vmap(product)(parameters, buffers, directions) for product in (forwards, backwards))
    for key, value in one.items():
        torch.testing.assert_close(value, other[key], rtol=1e-8, atol=1e-10)
    assert max(value.abs().max() for value in one.values()) > 1e-3
