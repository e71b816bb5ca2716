"""LayerNorm, GroupNorm and nothing in the place of BatchNorm: modules, derivatives, packs and evaluation."""

import pytest
import torch
from torch import nn

from gengap import models
from gengap.engine import evaluation, stack
from gengap.engine.objective import Objective
from gengap.errors import UserError
from gengap.labels import LabelledData
from gengap.studies.settings import Cell, Loss, Model
from gengap.training import RunOptions, cell_result, train_pack

OPTIONS = {
    "song": {},
    "vgg": {"depth": 11},
    "resnet": {"depth": 8},
    "wide_resnet": {"depth": 10},
    "lenet": {"batchnorm": "before", "width": 6},
    "mlp": {"batchnorm": "after"},
    "keskar_fc": {"depth": 2},
    "keskar_conv": {},
    "keskar_vgg": {},
    "inception": {"width": 24},
}
NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


def model(name, norm, **options):
    return Model.model_validate({"name": name, "width": 4, "norm": norm, **OPTIONS[name], **options})


def normalisations(network):
    return [layer for layer in network.modules() if isinstance(layer, NORMALISATIONS)]


@pytest.mark.parametrize("name", OPTIONS)
def test_every_batchnorm_is_replaced(name):
    image_shape = (3, 16, 16)
    usual = normalisations(models.build(model(name, "batch"), image_shape, 3))
    features = [layer.num_features for layer in usual]
    assert features
    layers = normalisations(models.build(model(name, "layer"), image_shape, 3))
    assert [(type(layer), layer.num_groups, layer.num_channels) for layer in layers] == [
        (nn.GroupNorm, 1, count) for count in features
    ]
    groups = normalisations(models.build(model(name, "group", group_size=2), image_shape, 3))
    assert [(layer.num_groups, layer.num_channels) for layer in groups] == [(count // 2, count) for count in features]
    bare = models.build(model(name, "none"), image_shape, 3)
    assert normalisations(bare) == []
    assert bare(torch.randn(2, *image_shape)).shape == (2, 3)


def test_layernorm_is_taken_over_all_channels_and_pixels():
    network = models.build(model("lenet", "layer"), (3, 16, 16), 3)
    x = torch.randn(2, 6, 12, 12)
    own = network.conv1_ln(x)
    torch.testing.assert_close(own, nn.functional.layer_norm(x, (6, 12, 12)), rtol=1e-4, atol=1e-5)
    units = torch.randn(5, 120)
    torch.testing.assert_close(network.linear1_ln(units), nn.functional.layer_norm(units, (120,)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("width", "size", "groups"), [(6, 16, 1), (32, 16, 2), (48, 16, 3), (20, 16, 2), (7, 3, 7)])
def test_the_largest_groups_that_divide_the_channels(width, size, groups):
    network = models.build(Model(name="vgg", norm="group", group_size=size, width=width, depth=11), (3, 32, 32), 3)
    assert normalisations(network)[0].num_groups == groups


def test_what_would_normalise_nothing_or_all_away_is_refused():
    with pytest.raises(UserError, match=r"model\.norm: 'layer' normalises nothing where model\.batchnorm is none"):
        models.build(Model(name="mlp", norm="layer"), (1, 8, 8), 3)
    with pytest.raises(UserError, match=r"model\.norm: 'group' of a linear layer with 4 units would take one unit"):
        models.build(model("song", "group", group_size=1), (1, 8, 8), 3)
    with pytest.raises(UserError, match=r"model\.norm: 'group' of a linear layer with 7 units"):
        models.build(model("mlp", "group", width=7, group_size=4), (1, 8, 8), 3)


@pytest.mark.parametrize("norm", ["layer", "group", "none"])
@pytest.mark.parametrize(
    "name", ["song", "mlp", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("resnet", "lenet"))]
)
def test_a_pack_trains_and_is_evaluated_as_each_network_alone(name, norm, tmp_path):
    """In float32, so that the kernels for processors take what they can; the last accuracy is the module's own."""
    images = torch.randn(40, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) % 3
    data = LabelledData(images[:24], labels[:24], images[24:], labels[24:], 3, "digest")
    cells = {
        f"seed={seed}": Cell.model_validate(
            {
                "model": {"name": name, "width": 4, "norm": norm, "group_size": 4, **OPTIONS[name]},
                "loss": "cross_entropy",
                "optimizer": {"lr": 0.02},
                "training": {"epochs": 2, "batch_size": 8, "batchnorm": "exact"},
                "seed": seed,
            }
        )
        for seed in (0, 1)
    }

    def train(folder, pack):
        paths = tmp_path / folder / "weights.h5", tmp_path / folder / "history.h5"
        train_pack(pack, data, *paths, RunOptions(device="cpu", compile_step="off"))
        return cell_result.read(pack, *paths)

    together = train("both", cells)
    for name_of_cell, cell in cells.items():
        alone = train(name_of_cell, {name_of_cell: cell})[name_of_cell]
        state = together[name_of_cell].checkpoints[2.0]
        for key, value in state.items():
            torch.testing.assert_close(value, alone.checkpoints[2.0][key], rtol=1e-4, atol=1e-5)
        network = models.build(cell.model, (3, 16, 16), 3).eval()
        network.load_state_dict(state)
        loss = nn.functional.cross_entropy(network(images[24:]), labels[24:]).item()
        (recorded,) = [
            value for epoch, quantity, value in together[name_of_cell].history if epoch == 2 and quantity == "test_loss"
        ]
        assert recorded == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_products_with_the_hessian_are_differences_of_gradients(norm):
    cells = [
        Cell.model_validate(
            {"model": {"name": "song", "width": 4, "norm": norm, "group_size": 2}, "init": "xavier", "seed": seed}
        )
        for seed in (0, 1)
    ]
    arch = stack.architecture(models.build(cells[0].model, (3, 8, 8), 3))
    state = stack.initial_state(cells, (3, 8, 8), 3, dtype=torch.float64, device=torch.device("cpu"))
    images, labels = torch.randn(6, 3, 8, 8, dtype=torch.float64), torch.arange(6) % 3
    objective = Objective(arch, state, images, labels, Loss(name="cross_entropy"), through_batch=False, batch_size=6)
    vectors = torch.randn(2, arch.n_parameters, dtype=torch.float64)
    along = stack.unflatten(arch, vectors)

    def gradient(step):
        moved = {name: state[name] + step * along[name] for name in arch.parameters}
        return stack.flatten(arch, objective.at({**state, **moved}).gradient())

    expected = (gradient(1e-6) - gradient(-1e-6)) / 2e-6
    found = stack.flatten(arch, objective.hvp(along))
    assert ((found - expected).norm(dim=1) / expected.norm(dim=1)).max() < 1e-5


def test_a_samples_output_depends_on_no_other_sample():
    for norm in ("layer", "group"):
        cell = Cell.model_validate({"model": {"name": "resnet", "depth": 8, "norm": norm, "group_size": 2}})
        arch = stack.architecture(models.build(cell.model, (3, 8, 8), 3))
        state = stack.initial_state([cell], (3, 8, 8), 3, dtype=torch.float64, device=torch.device("cpu"))
        images = torch.randn(5, 3, 8, 8, dtype=torch.float64)
        for mode in ("running", "batch", "exact"):
            whole = evaluation.all_outputs(arch, state, images, mode, 5)
            part = evaluation.all_outputs(arch, state, images[:2], mode, 2)
            torch.testing.assert_close(whole[:, :2], part, rtol=1e-10, atol=1e-12)
