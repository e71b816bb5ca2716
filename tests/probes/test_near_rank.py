"""Near-rank loss against numpy's SVD of a network cut open by hand, and against networks of known rank."""

import dataclasses

import numpy as np
import pytest
import torch
from subjects import by_name, one_network, subject

from gengap import seeding
from gengap.engine import stack
from gengap.probes import near_rank

LENET = {"model": {"name": "lenet", "width": 2, "batchnorm": "before"}, "training": {"batch_size": 24}}
LINEAR = {
    "model": {"name": "mlp", "width": 10, "depth": 1, "activation": "identity"},
    "training": {"batch_size": 16},
}


def lenet(batchnorm="exact", **options):
    options = {"name": "near_rank", "batchnorm": batchnorm, "draws": 2, "control_size": 10, **options}
    return subject(options, LENET, n_train=30, shape=(1, 16, 16), n_classes=3)


def linear(**options):
    """One linear hidden layer of 10 units whose weights have rank 4, without a bias; images 3 x 2 x 2."""
    made = subject({"name": "near_rank", **options}, LINEAR, seeds=(0, 1), shape=(3, 2, 2))
    state = dict(made.state)
    left, right = torch.randn(2, 10, 4, dtype=torch.float64), torch.randn(2, 4, 12, dtype=torch.float64)
    state["linear1.weight"], state["linear1.bias"] = left @ right, torch.zeros(2, 10, dtype=torch.float64)
    return dataclasses.replace(made, state=state)


def by_hand(made, place, index):
    """Every layer's and mode's singular values, by numpy from the ordinary module."""
    network, found = one_network(made, place), {}
    x = made.train_images[index]
    with torch.no_grad():
        for name, layer in network.named_children():
            x = layer(x)
            if name.endswith("relu") or name == "output":
                modes = ["batch", "channel", "height", "width"] if x.dim() == 4 else ["matrix"]
                for mode, label in enumerate(modes):
                    matrix = np.moveaxis(x.numpy(), mode, 0).reshape(x.shape[mode], -1)
                    found[f"{name}/mode={label}"] = np.linalg.svd(matrix, compute_uv=False), matrix.shape
    return found


def own_batches(made, place, draws):
    stream = seeding.stream(made.cells[place].seed, seeding.PROBE)
    return [stream.choice(len(made.train_images), 24, replace=False) for _ in range(draws)]


@pytest.mark.parametrize("batchnorm", ["running", "batch", "exact"])
def test_counts_and_spectra_equal_numpys(batchnorm):
    made = lenet(batchnorm)
    made.state["conv2.weight"][0, 1:] = 0  # constant maps: small singular values, and dead maps if negative
    made.state["conv2_bn.bias"][0, 1:] = -1
    found = by_name(near_rank.measure(made))
    for place in (0, 1):
        draws = [by_hand(made, place, index) for index in own_batches(made, place, 2)]
        control = by_hand(made, place, np.arange(10))
        totals = []
        for layer in draws[0]:
            spectra = np.stack([one[layer][0] for one in draws])
            shape = draws[0][layer][1]
            size = max(shape) if layer.endswith("matrix") else shape[0]
            np.testing.assert_allclose(found["singular_values", layer][place], spectra, rtol=1e-7, atol=1e-7)
            np.testing.assert_allclose(
                found["control_singular_values", layer][place], control[layer][0], rtol=1e-7, atol=1e-7
            )
            small = (spectra < 1e-4).sum(axis=1)
            totals.append(small)
            assert found["near_rank", layer][place] == small.mean()
            assert found["near_rank_tight", layer][place] == (spectra < 1e-5).sum(axis=1).mean()
            assert found["near_rank_full", layer][place] == small.mean() + size - min(shape)
            assert found["near_rank_relative", layer][place] == (spectra < 1e-4 * spectra[:, :1] + 1e-12).sum(1).mean()
            assert found["near_rank_share", layer][place] == pytest.approx(small.mean() / min(shape))
            assert found["near_rank_control", layer][place] == (control[layer][0] < 1e-4).sum()
        total = np.sum(totals, axis=0)
        assert found["near_rank", ""][place] == total.mean()
        standard_error = total.std(ddof=1) / 2**0.5
        assert found["near_rank_standard_error", ""][place].item() == pytest.approx(standard_error)
    dead = found["near_rank", "conv2_relu/mode=channel"][0] if batchnorm != "batch" else 4
    assert dead >= 4


def test_a_linear_network_of_known_rank():
    """16 x 10 activations of rank 4 have 6 small singular values; a full SVD adds 16 - 10 zeros that are no loss."""
    found = by_name(near_rank.measure(linear()))
    layer = "linear1_identity/mode=matrix"
    assert found["near_rank", layer].tolist() == [6, 6]
    assert found["near_rank_tight", layer].tolist() == [6, 6]
    assert found["near_rank_full", layer].tolist() == [12, 12]
    assert found["near_rank_share", layer].tolist() == [0.6, 0.6]
    assert found["near_rank_relative", layer].tolist() == [6, 6]
    assert found["near_rank_standard_error", layer].tolist() == [0, 0]
    assert found["singular_values", layer].shape == (2, 5, 10)
    assert found["near_rank", "output/mode=matrix"].tolist() == [0, 0]


def test_float32_shows_noise_where_float64_shows_rank():
    """With activations of about 10,000, rounding in float32 is far above the threshold: the loss is not seen."""
    made = linear()
    made.state["linear1.weight"] *= 1e4
    found = by_name(near_rank.measure(made))
    layer = "linear1_identity/mode=matrix"
    assert found["near_rank", layer].tolist() == [6, 6]
    assert found["near_rank_float32", layer].max() < 6


def test_all_of_a_dead_layer_counts():
    made = linear()
    made.state["linear1.weight"][1] = 0
    found = by_name(near_rank.measure(made))
    layer = "linear1_identity/mode=matrix"
    assert found["near_rank", layer].tolist() == [6, 10]
    assert found["near_rank_relative", layer].tolist() == [6, 10]


def test_the_same_bits_alone_and_at_every_epoch():
    made = lenet()
    both = by_name(near_rank.measure(made))
    alone = dataclasses.replace(
        made, state=stack.take(made.state, [1]), start=stack.take(made.start, [1]), cells=made.cells[1:]
    )
    for key, value in by_name(near_rank.measure(alone)).items():
        assert torch.equal(value[0], both[key][1]), key


def test_a_batch_of_everything_is_one_draw():
    made = subject({"name": "near_rank"}, {**LINEAR, "training": {"batch_size": "full"}}, n_train=20, shape=(3, 2, 2))
    found = by_name(near_rank.measure(made))
    assert found["singular_values", "linear1_identity/mode=matrix"].shape == (2, 1, 10)
    assert ("near_rank_standard_error", "") not in found
    assert torch.equal(
        found["singular_values", "output/mode=matrix"][:, 0], found["control_singular_values", "output/mode=matrix"]
    )


def test_a_diverged_network_is_named():
    made = linear()
    made.state["linear1.weight"][0, 0, 0] = torch.inf
    with pytest.raises(ValueError, match="'linear1_identity' are not finite"):
        near_rank.measure(made)
