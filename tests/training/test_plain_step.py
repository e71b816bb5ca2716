"""The step of networks one by one against the step of all of them together, in float64."""

import functools
import itertools

import pytest
import torch
from torch._dynamo.backends.common import aot_autograd

from gengap import models
from gengap.engine import stack
from gengap.studies.settings import Cell
from gengap.training import (
    RunOptions,
    augmentation,
    cell_result,
    compilation,
    masks,
    pack_state,
    random_inputs,
    train_pack,
)
from gengap.training.cell_result import CellResult
from gengap.training.optimizers import stacked_settings
from gengap.training.plain_step import FILLS, OneByOne, fills, forward_operations, make_plain_step
from gengap.training.step import StepInputs, make_step

CPU, SHAPE, BATCH = torch.device("cpu"), (3, 8, 8), 6

MODELS = {
    "resnet": {"name": "resnet", "depth": 8, "width": 2},
    "vgg": {"name": "vgg", "depth": 11, "width": 1},
    "wide_resnet": {"name": "wide_resnet", "depth": 10, "width": 2},
    "mlp": {"name": "mlp", "depth": 1, "width": 4},
    "keskar_vgg": {"name": "keskar_vgg", "width": 1},
}
OPTIMIZERS = ("sgd", "adam", "adamw", "adagrad", "sgd_unit_rows")
CASES = [
    *(({"model": model}, name) for name, model in MODELS.items()),  # keskar_vgg has dropout
    *(({"model": MODELS["mlp"], "optimizer": {"name": name}}, name) for name in OPTIMIZERS),
    ({"model": MODELS["vgg"], "training": {"noise_std": 0.1}}, "noise"),
    ({"model": MODELS["vgg"], "training": {"noise_std": 0.1, "noise_mode": "unit"}}, "unit noise"),
    ({"model": MODELS["mlp"], "training": {"subspace": 5}}, "subspace"),
    ({"model": MODELS["resnet"], "training": {"augmentation": "flip_crop"}}, "augmentation"),
    ({"model": MODELS["resnet"], "training": {"step_batchnorm": "exact"}}, "constant statistics"),
]


def trained(make, sections, *, n_steps=3, pruned=False):
    """Three networks after some steps, and the losses of those."""
    settings = {"loss": "cross_entropy", **sections}
    settings["optimizer"] = {"lr": 0.05, "weight_decay": 0.01, **sections.get("optimizer", {})}
    settings["training"] = {"dtype": "float64", "batch_size": BATCH, **sections.get("training", {})}
    cells = [Cell.model_validate({**settings, "seed": seed}) for seed in range(3)]
    arch = stack.architecture(models.build(cells[0].model, SHAPE, 4))
    dtype = getattr(torch, cells[0].training.weights_dtype)
    state = stack.initial_state(cells, SHAPE, 4, dtype=dtype, device=CPU)
    alive = {}
    if pruned:
        generator = torch.Generator().manual_seed(3)
        alive = {name: (torch.rand(state[name].shape, generator=generator) < 0.5).double() for name in arch.parameters}
    packed = pack_state.start([CellResult(str(cell.seed), cell, "", 0) for cell in cells], arch, state, alive)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(n_steps * BATCH, *SHAPE, generator=generator, dtype=dtype)
    targets = torch.randint(4, (len(images),), generator=generator)
    orders = torch.stack([torch.randperm(len(images), generator=generator) for _ in cells])
    step, networks, losses = make(arch, cells[0]), packed.networks, []
    augmentations = augmentation.draws(cells, 0, len(images), CPU)
    shapes = random_inputs.buffer_shapes(arch, cells[0], SHAPE)
    drawn = random_inputs.draws(cells, shapes, 0, [BATCH] * n_steps, dtype=dtype, device=CPU)
    for samples, given in zip(orders.split(BATCH, dim=1), drawn, strict=True):
        hyperparameters = stacked_settings(cells, dtype=dtype, device=CPU)
        networks, loss = step(networks, images, targets, StepInputs(samples, hyperparameters, augmentations, given))
        losses.append(loss)
    return networks, losses


def assert_same(found, expected):
    for one, other in zip(*(torch.utils._pytree.tree_flatten(each) for each in (found, expected)), strict=True):
        if isinstance(one, list):
            for a, b in zip(one, other, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
        else:
            assert one == other  # names, and what belongs to what


@pytest.mark.parametrize(("sections", "_name"), CASES, ids=[name for _, name in CASES])
def test_one_by_one_gives_the_numbers_of_all_together(sections, _name):
    assert_same(trained(make_plain_step, sections), trained(make_step, sections))


def test_pruned_weights_stay_zero():
    sections = {"model": MODELS["mlp"]}
    networks, losses = trained(make_plain_step, sections, pruned=True)
    assert_same((networks, losses), trained(make_step, sections, pruned=True))
    alive = networks.optimizer_state[masks.MASK]
    assert all((networks.parameters[name][alive[name] == 0] == 0).all() for name in alive)


def test_the_step_of_one_network_is_compiled_once_for_all_as_one_graph():
    """As on a GPU but for the code that is made: every network's step has the same shapes, and no graph breaks."""
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return aot_autograd(fw_compiler=lambda graph, _: graph)(graph, inputs)

    def make(arch, cell):
        compiler = functools.partial(torch.compile, backend=backend, fullgraph=True, dynamic=False)
        return make_plain_step(arch, cell).compiled(compiler)

    sections = {"model": {"name": "plain_conv", "width": 2, "depth": 1}}
    sections["training"] = {"dtype": "bfloat16", "augmentation": "flip"}
    assert_same(trained(make, sections, n_steps=1), trained(make_plain_step, sections, n_steps=1))
    assert len(graphs) == 1


def test_on_a_cpu_each_networks_step_is_traced():
    step = compilation.compiled(OneByOne(len), CPU)
    assert isinstance(step.of_one, compilation.Traced)


def test_a_pack_trained_one_by_one_ends_as_the_stack_does(data, make_cell, tmp_path):
    cells = {f"seed={seed}": make_cell(seed, training={"epochs": 1 + seed}) for seed in range(2)}
    found = []
    for step in ("stacked", "plain"):
        paths = tmp_path / step / "weights.h5", tmp_path / step / "history.h5"
        train_pack(cells, data, *paths, RunOptions(device="cpu", compile_step="off", step=step))
        found.append(cell_result.read(cells, *paths))
    for name, epoch in itertools.product(cells, (0.5, 1.0)):
        for key, value in found[0][name].checkpoints[epoch].items():
            torch.testing.assert_close(found[1][name].checkpoints[epoch][key], value, rtol=1e-8, atol=1e-10)


def test_only_a_network_that_fills_a_gpu_is_trained_alone():
    """VGG-16, ResNet-56 and WRN-16-4 at batch 128 are, Song's network of width 64 is not, and nothing is on a CPU."""
    gpu = torch.device("cuda")

    def chosen(model, size, device=gpu):
        cell = Cell.model_validate({"model": model})
        with torch.device("meta"):
            arch = stack.architecture(models.build(cell.model, (3, size, size), 10))
        return fills(arch, 128, (3, size, size), device)

    large = [{"name": "vgg", "width": 64}, {"name": "resnet", "depth": 56, "width": 16}, {"name": "wide_resnet"}]
    large[2]["width"] = 64
    assert [chosen(model, 32) for model in large] == [True] * 3
    assert [chosen(model, 32, CPU) for model in large] == [False] * 3
    assert not chosen({"width": 64}, 8)


def test_operations_are_two_per_multiplication():
    arch = stack.architecture(models.build(Cell.model_validate({"model": MODELS["mlp"]}).model, SHAPE, 10))
    assert forward_operations(arch, SHAPE) == 2 * (192 * 4 + 4 * 10)
    assert 128 * forward_operations(arch, SHAPE) < FILLS


def test_a_stack_of_one_is_handed_on_as_it_is():
    given = []
    step = OneByOne(lambda *arguments: given.append(arguments))
    inputs = StepInputs(torch.zeros(1, 2), {}, {}, {})
    step("networks", "images", "targets", inputs)
    assert given == [("networks", "images", "targets", inputs)]
