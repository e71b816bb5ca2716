"""Random subspaces: projections against their matrices, and training that never leaves theta_0 + P theta_d."""

import math

import pytest
import torch

from gengap.engine import stack
from gengap.training import projections
from gengap.training.projections import KINDS

D, SMALL = 37, 9


def matrices(kind, n_weights=D, d=SMALL, networks=2):
    """P of every network, by its products with unit vectors ``[K, D, d]``, and its tensors."""
    drawn = [KINDS[kind].draw(d, n_weights, torch.Generator().manual_seed(seed)) for seed in range(networks)]
    projection = {
        name: value.double() if value.is_floating_point() else value for name, value in stack.stacked(drawn).items()
    }
    columns = [
        KINDS[kind].expand(projection, unit.expand(networks, -1), n_weights)
        for unit in torch.eye(d, dtype=torch.float64)
    ]
    return torch.stack(columns, dim=2), projection


def hadamard_matrix(size):
    """Entry i, j is -1 to the number of ones that i and j share in binary."""
    return torch.tensor([[(-1.0) ** bin(i & j).count("1") for j in range(size)] for i in range(size)]).double()


def test_the_fast_hadamard_transform_is_the_product():
    vectors = torch.randn(3, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(projections.hadamard(vectors), vectors @ hadamard_matrix(64))


def test_fastfood_is_the_product_of_its_matrices():
    found, projection = matrices("fastfood")
    h = hadamard_matrix(64)
    for place in range(2):
        signs, order, normal = (projection[name][place] for name in ("signs", "order", "normal"))
        product = h @ torch.diag(normal) @ torch.eye(64, dtype=torch.float64)[order] @ h @ torch.diag(signs)
        torch.testing.assert_close(found[place], product[:D, :SMALL])


@pytest.mark.parametrize("kind", KINDS)
def test_columns_have_norm_1_and_the_way_back_is_the_transpose(kind):
    size = 64 if kind == "fastfood" else D  # a power of two, where all rows of the product are used
    found, projection = matrices(kind, size)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2, SMALL, dtype=torch.float64), rtol=1e-5, atol=0)
    weights = torch.randn(2, size, dtype=torch.float64)
    expected = torch.einsum("kwd,kw->kd", found, weights)
    torch.testing.assert_close(KINDS[kind].reduce(projection, weights, SMALL), expected)
    assert not torch.equal(found[0], found[1])
    if kind == "sparse":
        assert ((found != 0).sum(dim=1) == round(math.sqrt(D))).all()


def test_the_largest_network_of_the_survey_fits_into_4_gib():
    assert 5 * projections.bytes_of("fastfood", 190_000, 959_610) < 4 * 2**30
    drawn = KINDS["fastfood"].draw(190_000, 959_610, torch.Generator().manual_seed(0))
    assert sum(value.numel() * value.element_size() for value in drawn.values()) < 20 * 2**20


@pytest.mark.parametrize("kind", KINDS)
def test_training_stays_in_the_subspace_and_needs_no_pack(kind, make_cell, train):
    cells = {
        f"seed={seed}": make_cell(
            seed, training={"subspace": 5, "projection": kind, "epochs": 2}, optimizer={"weight_decay": 0.01}
        )
        for seed in range(2)
    }
    together, alone = train(cells), train({"seed=1": cells["seed=1"]})
    for name, result in together.items():
        start, *later = (result.checkpoints[at] for at in (0.0, 0.5, 1.0, 2.0))
        moves = torch.stack(
            [
                torch.cat([(of[key] - start[key]).flatten() for key in start if key.endswith(("weight", "bias"))])
                for of in later
            ]
        )
        assert torch.linalg.matrix_rank(moves) == 3, name
    last = [found["seed=1"].checkpoints[2.0] for found in (together, alone)]
    assert all(torch.allclose(last[0][key], last[1][key], rtol=1e-9, atol=1e-12) for key in last[0])


@pytest.mark.parametrize(
    "kind", ["sparse", *(pytest.param(kind, marks=pytest.mark.thorough) for kind in KINDS if kind != "sparse")]
)
def test_a_compiled_step_is_the_step(kind, make_cell, train):
    """Weights and theta_0 are the same tensors before the first step, and others after it."""
    settings = {"subspace": 6, "projection": kind, "epochs": 2}
    cells = {f"seed={seed}": make_cell(seed, training=settings, optimizer={"lr": 0.5}) for seed in range(2)}
    plain, compiled = (train(cells, compile=mode) for mode in ("off", "on"))
    for name in cells:
        ends = [found[name].checkpoints for found in (plain, compiled)]
        torch.testing.assert_close(ends[1][2.0], ends[0][2.0], rtol=1e-7, atol=1e-9)
        assert any(not torch.equal(value, ends[0][0.0][key]) for key, value in ends[0][2.0].items())


def test_the_first_step_is_that_of_the_projected_gradient(data, make_cell, train):
    """Plain gradient descent on the whole set: theta moves along P P' g."""
    plain = {"batch_size": "full", "epochs": 1}
    options = {"momentum": 0.0, "weight_decay": 0.3}
    free = train({"seed=0": make_cell(training=plain, optimizer=options)})["seed=0"].checkpoints
    bound = make_cell(training=plain | {"subspace": 4, "projection": "dense"}, optimizer=options)
    found = train({"seed=0": bound})["seed=0"].checkpoints
    from gengap import models, seeding

    arch = stack.architecture(models.build(bound.model, (3, 8, 8), 1))
    generator = torch.Generator().manual_seed(seeding.torch_seed(0, seeding.SUBSPACE, 4))
    columns = KINDS["dense"].draw(4, arch.n_parameters, generator)["columns"].double()

    def moved(checkpoints):
        return torch.cat([(checkpoints[1.0][name] - checkpoints[0.0][name]).flatten() for name in arch.parameters])

    torch.testing.assert_close(moved(found), columns @ (columns.T @ moved(free)), rtol=1e-6, atol=1e-9)
