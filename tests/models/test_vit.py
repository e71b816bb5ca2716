"""The vision transformer against PyTorch's own encoder layers with the same weights, float64."""

import pytest
import torch
from torch import nn

from gengap import models
from gengap.engine import evaluation, stack
from gengap.engine.objective import Objective
from gengap.errors import UserError
from gengap.studies.settings import Cell, Loss, Model


def build(image_shape=(3, 8, 8), n_outputs=5, **options):
    return models.build(
        Model.model_validate({"name": "vit", "width": 8, "depth": 2, **options}), image_shape, n_outputs
    )


def torchs(block, width, heads):
    """The encoder layer with a block's weights."""
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).double()
    names = {
        "self_attn.in_proj_": "attention.query_key_value.",
        "self_attn.out_proj.": "attention.output.",
        "norm1.": "ln1.",
        "norm2.": "ln2.",
        "linear1.": "linear1.",
        "linear2.": "linear2.",
    }
    own = block.state_dict()
    layer.load_state_dict(
        {f"{theirs}{kind}": own[f"{ours}{kind}"] for theirs, ours in names.items() for kind in ("weight", "bias")}
    )
    return layer


@pytest.mark.parametrize(("heads", "patch", "image_shape"), [(1, 4, (3, 8, 8)), (4, 2, (1, 6, 8))])
def test_outputs_and_gradients_equal_those_of_torchs_encoder(heads, patch, image_shape):
    network = build(image_shape, heads=heads, patch=patch).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    blocks = [torchs(block, 8, heads) for block in network.blocks]
    images = torch.randn(3, *image_shape, dtype=torch.float64)
    patches = nn.functional.unfold(images, patch, stride=patch).transpose(1, 2)  # row by row, as the convolution
    x = patches @ network.embedding.weight.flatten(1).T + network.embedding.bias
    x = torch.cat([network.tokens.class_token.expand(3, 1, 8), x], dim=1) + network.tokens.positions
    for block in blocks:
        x = block(x)
    expected = network.output(nn.functional.layer_norm(x[:, 0], (8,), network.ln.weight, network.ln.bias, 1e-6))
    found = network(images)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    direction = torch.randn_like(found)
    ours = torch.autograd.grad((found * direction).sum(), network.blocks[0].linear1.weight)[0]
    theirs = torch.autograd.grad((expected * direction).sum(), blocks[0].linear1.weight)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_parameters_of_the_published_tiny_model():
    """Touvron et al. (2021), table 1: ViT-Ti has 5.7 million; here counted for 224 x 224 images, as in timm."""
    with torch.device("meta"):
        network = build((3, 224, 224), 1000, width=192, depth=12, heads=3, patch=16)
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_717_416


def test_the_order_of_the_patches_counts_by_their_positions_alone():
    network = build().double()
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    exchanged = torch.cat([images[..., 4:], images[..., :4]], dim=3)
    with torch.no_grad():
        network.tokens.positions.zero_()
        torch.testing.assert_close(network(images), network(exchanged))
        network.tokens.positions.normal_()
        assert (network(images) - network(exchanged)).abs().max() > 1e-3


def test_positions_are_drawn_from_the_cells_own_stream():
    cells = [
        Cell.model_validate({"model": {"name": "vit", "width": 8, "depth": 1}, "init": "xavier", "seed": seed})
        for seed in (3, 3, 4)
    ]
    drawn = {"dtype": torch.float32, "device": torch.device("cpu")}
    state = stack.initial_state(cells[:2], (3, 32, 32), 10, **drawn)
    torch.manual_seed(99)
    again = stack.initial_state(cells[1:], (3, 32, 32), 10, **drawn)
    positions = state["tokens.positions"]
    assert torch.equal(positions[0], positions[1])
    assert torch.equal(positions[0], again["tokens.positions"][0])
    assert not torch.equal(positions[0], again["tokens.positions"][1])
    assert positions.std().item() == pytest.approx(0.02, rel=0.1)
    assert (state["tokens.class_token"] == 0).all()


@pytest.fixture
def networks():
    """Two drawn networks."""
    cells = [
        Cell.model_validate(
            {"model": {"name": "vit", "width": 8, "depth": 1, "heads": 2}, "init": "xavier", "seed": seed}
        )
        for seed in (0, 1)
    ]
    arch = stack.architecture(models.build(cells[0].model, (3, 8, 8), 3))
    return arch, stack.initial_state(cells, (3, 8, 8), 3, dtype=torch.float64, device=torch.device("cpu"))


def test_evaluation_of_a_stack_is_that_of_its_networks(networks):
    arch, state = networks
    images = torch.randn(7, 3, 8, 8, dtype=torch.float64)
    found = evaluation.all_outputs(arch, state, images, "exact")
    for place in range(2):
        network = build(n_outputs=3, depth=1, heads=2).double()
        network.load_state_dict(stack.network_state(state, place))
        torch.testing.assert_close(found[place], network(images), rtol=1e-10, atol=1e-12)


def test_products_with_the_hessian_are_differences_of_gradients(networks):
    """PyTorch's own LayerNorm fails this for two networks together."""
    arch, state = networks
    images, labels = torch.randn(6, 3, 8, 8, dtype=torch.float64), torch.arange(6) % 3
    objective = Objective(arch, state, images, labels, Loss(name="cross_entropy"), through_batch=False, batch_size=6)
    vectors = torch.randn(2, arch.n_parameters, dtype=torch.float64)
    step, along = 1e-6, stack.unflatten(arch, vectors)

    def gradient(sign):
        moved = {name: state[name] + sign * step * along[name] for name in arch.parameters}
        return stack.flatten(arch, objective.at({**state, **moved}).gradient())

    expected = (gradient(1) - gradient(-1)) / (2 * step)
    found = stack.flatten(arch, objective.hvp(along))
    assert ((found - expected).norm(dim=1) / expected.norm(dim=1)).max() < 1e-6


def test_patches_and_heads_must_fit():
    with pytest.raises(UserError, match=r"model\.patch: patches of 4 x 4 pixels do not fill images of 8 x 6\."):
        build((3, 8, 6))
    with pytest.raises(UserError, match=r"model\.heads: 3 heads do not divide a width of 8\."):
        build(heads=3)
    assert [build(width=width).blocks[0].attention.heads for width in (8, 24, 32, 64)] == [1, 1, 2, 4]
