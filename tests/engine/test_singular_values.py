"""Singular values against planted ones and against LAPACK's."""

import math

import numpy as np
import pytest
import torch

from gengap.engine.numerics.singular_values import float32_singular_values, singular_values, unfolding

N, M = 120, 300


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def planted(values, columns=M):
    left = torch.linalg.qr(normal(len(values), len(values), seed=1))[0]
    right = torch.linalg.qr(normal(columns, len(values), seed=2))[0]
    return (left * values) @ right.T


def counts(values):
    absolute = [int((values < threshold).sum()) for threshold in (1e-4, 1e-5, 1e-6)]
    return [*absolute, int((values < 1e-4 * values[0]).sum())]


@pytest.mark.parametrize("size", [1.0, 1e3, 1e-3, 1e150])
@pytest.mark.parametrize("depth", [1.9, 3.9, 8.1, 13.1])
def test_planted_spectra(depth, size):
    """Also where a Gram matrix would show noise: below 1e-8 of the largest."""
    values = size * torch.logspace(0, -depth, N, dtype=torch.float64)
    found = singular_values(planted(values))
    torch.testing.assert_close(found, values, rtol=1e-7, atol=1e-14 * size)
    assert counts(found) == counts(values)
    gram = torch.linalg.eigvalsh((planted(values) / size) @ (planted(values) / size).T).clamp(min=0).sqrt() * size
    if depth > 8:
        assert not torch.allclose(gram.flip(0), values, rtol=1e-7, atol=1e-14 * size)


def test_a_floor_moves_nothing_above_it():
    values = 1e3 * torch.logspace(0, -16, N, dtype=torch.float64)
    torch.testing.assert_close(singular_values(planted(values), floor=1e-7), values, rtol=1e-7, atol=1e-7)
    largest = singular_values(planted(values), floor=math.inf)[0]
    assert largest.item() == pytest.approx(1e3, rel=1e-13)


@pytest.mark.parametrize("rank", [1, 40, 90, N - 1])
@pytest.mark.parametrize("place", ["below", "above"])
def test_low_rank_with_a_rest_near_the_floor(rank, place):
    """The rest is left out where all of it lies below the floor, and nowhere else; counts are LAPACK's in both."""
    floor = 1e-7
    large = 300 * torch.logspace(0, -2, rank, dtype=torch.float64)
    rest = (1e-9 if place == "below" else 3e-6) * torch.logspace(0, -2, N - rank, dtype=torch.float64)
    matrix = planted(torch.cat([large, rest]))
    found, expected = singular_values(matrix, floor), torch.linalg.svdvals(matrix)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=floor)
    assert counts(found)[:3] == counts(expected)[:3]
    assert int((found == 0).sum()) == (N - rank if place == "below" else 0)


def test_the_bound_of_a_low_rank_holds_for_rows_of_any_order():
    """Duplicates and tiny rows first: the rows on which the others depend must be looked for."""
    basis = normal(30, M)
    mixed = normal(N - 60, 30, seed=3) @ basis
    matrix = torch.cat([1e-9 * normal(15, M, seed=4), basis[:1].repeat(45, 1), mixed])
    found, expected = singular_values(matrix, 1e-7), torch.linalg.svdvals(matrix)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)
    assert counts(found)[:3] == counts(expected)[:3] == [N - 30] * 3


def awkward():
    """Matrices whose small values come about in different ways, each with the number of its zeros."""
    dead = normal(N, M).relu()
    dead[[5, 7]] = 0
    twins = normal(N, M).relu()
    twins[5] = twins[6]
    nearly = normal(N, M).relu()
    nearly[5] = nearly[6] * (1 + 1e-9)
    nearly[5, 0] += 3e-5
    scales = torch.logspace(0, -12, N, dtype=torch.float64)
    grid = torch.arange(1.0, M + 1, dtype=torch.float64)
    return {
        "rank 40": (normal(N, 40) @ normal(40, M, seed=1), N - 40),
        "two dead rows": (dead, 2),
        "equal rows": (twins, 1),
        "nearly equal rows": (nearly, 0),
        "graded rows": (normal(N, M) * scales[:, None], None),
        "graded columns": (normal(M, N) * scales, None),
        "hilbert": (1 / (grid[:N, None] + grid), None),
        "square": (normal(N, N), 0),
        "constant": (torch.ones(N, M, dtype=torch.float64), N - 1),
        "one row": (normal(1, M), 0),
        "zero": (torch.zeros(N, M, dtype=torch.float64), N),
    }


@pytest.mark.parametrize("name", awkward())
@pytest.mark.parametrize("floor", [0.0, 1e-8])
def test_same_values_and_counts_as_lapack(name, floor):
    matrix, zeros = awkward()[name]
    expected = torch.linalg.svdvals(matrix)
    for given in (matrix, matrix.T):
        found = singular_values(given, floor)
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=max(floor, 1e-13 * float(expected[0])))
        assert counts(found)[:3] == counts(expected)[:3]
        assert bool((found.diff() <= 0).all())
        if zeros is not None:
            assert int((found <= 1e-8 * matrix.norm()).sum()) == zeros


def test_float32_is_noise_where_float64_is_not():
    """A matrix of rank 100 with large values has no singular value near 1e-4 in float64, and many in float32."""
    matrix = 10 * normal(N, 100) @ normal(100, M, seed=1)
    assert int((singular_values(matrix) < 1e-4).sum()) == 20
    single = float32_singular_values(matrix.float())
    assert single.dtype == torch.float32
    assert int((single < 1e-4).sum()) < 20
    np.testing.assert_allclose(single[:100], np.linalg.svd(matrix.numpy(), compute_uv=False)[:100], rtol=1e-5)


def test_unfoldings_of_a_known_tensor():
    """A tensor with entries u_b v_c w_h x_w has rank 1 in every mode, its norm the only singular value."""
    parts = [normal(size, seed=size) for size in (7, 3, 4, 5)]
    tensor = torch.einsum("b,c,h,w->bchw", *parts)
    product = math.prod(part.norm().item() for part in parts)
    for mode, size in enumerate((7, 3, 4, 5)):
        matrix = unfolding(tensor, mode)
        assert matrix.shape == (size, 420 // size)
        found = singular_values(matrix)
        assert found[0].item() == pytest.approx(product)
        assert found[1:].max() < 1e-14 * product
    assert torch.equal(unfolding(tensor, 1)[2], tensor[:, 2].flatten())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_out_of_range_are_refused(bad):
    matrix = normal(4, 6)
    matrix[2, 3] = bad
    with pytest.raises(ValueError, match="not finite"):
        singular_values(matrix)
    with pytest.raises(ValueError, match="not finite"):
        float32_singular_values(matrix.float())
    with pytest.raises(ValueError, match="float64"):
        singular_values(normal(4, 6).float())
