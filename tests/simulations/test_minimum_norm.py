"""Least squares of minimum norm against the pseudo-inverse, by each way of computing it."""

import pytest
import torch

from gengap.simulations import minimum_norm, random_features


def drawn(n, wide, dtype=torch.complex128):
    generator = torch.Generator().manual_seed(n * 1000 + wide)
    return (
        torch.randn(n, wide, generator=generator, dtype=dtype),
        torch.randn(n, 3, generator=generator, dtype=torch.float64),
    )


def ways(matrix, targets, cutoff=1e-14):
    yield minimum_norm.least_squares(matrix, targets, cutoff)
    if matrix.shape[1] > matrix.shape[0]:
        solved = minimum_norm.dual(matrix @ matrix.mH, targets, cutoff)
        yield solved._replace(coefficients=matrix.mH @ solved.coefficients)


@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
@pytest.mark.parametrize(
    ("n", "wide"), [(12, 3), (12, 11), (12, 12), (12, 13), (12, 60), (90, 70), (90, 90), (90, 130)]
)
def test_it_is_the_pseudo_inverse(n, wide, dtype):
    """Below, at and above as many columns as rows; with few and with more of them than are decomposed whole."""
    matrix, targets = drawn(n, wide, dtype)
    expected = torch.linalg.pinv(matrix) @ targets.to(dtype)
    for solved, condition in ways(matrix, targets):
        torch.testing.assert_close(solved, expected, rtol=1e-7, atol=1e-8)
        assert condition == pytest.approx(torch.linalg.cond(matrix).item(), rel=1e-6)


@pytest.mark.parametrize(("n", "wide"), [(12, 9), (12, 12), (12, 20), (90, 80), (90, 90), (90, 130)])
def test_what_is_singular_is_solved_with_the_singular_values_that_there_are(n, wide):
    """Rows and columns that repeat others: factors without pivots cannot solve it, the pseudo-inverse can."""
    matrix, targets = drawn(n, wide)
    matrix[:, 1], matrix[3] = matrix[:, 0], matrix[2]
    expected = torch.linalg.pinv(matrix, rtol=1e-10) @ targets.to(matrix.dtype)
    for solved, condition in ways(matrix, targets, 1e-10):
        torch.testing.assert_close(solved, expected, rtol=1e-6, atol=1e-7)
        assert condition > 1e7


@pytest.mark.parametrize("size", [2, 80])
def test_what_is_cut_off_counts_as_zero(size):
    matrix = torch.diag(torch.linspace(1, 0.5, size, dtype=torch.float64)).to(torch.complex128)
    matrix[-1, -1] = 1e-3
    targets = torch.ones(size, 1, dtype=torch.float64)
    kept, cut = (minimum_norm.least_squares(matrix, targets, cutoff).coefficients.real for cutoff in (1e-6, 1e-2))
    assert kept[-1].item() == pytest.approx(1000)
    assert cut[-1].item() == 0
    assert kept[0].item() == cut[0].item() == pytest.approx(1)


def test_condition_numbers_near_the_limit_of_float64_are_found():
    """Columns that nearly repeat others, as where features are as many as images."""
    matrix, targets = drawn(100, 100)
    matrix[:, 1] = matrix[:, 0] + 1e-9 * drawn(100, 1)[0][:, 0]
    found = minimum_norm.least_squares(matrix, targets, 1e-14)
    assert found.condition == pytest.approx(torch.linalg.cond(matrix).item(), rel=1e-3)
    residual = matrix @ found.coefficients - targets
    assert residual.norm() < 1e-14 * matrix.norm() * found.coefficients.norm()


@pytest.mark.parametrize("samples", [40, 600])
def test_features_in_parts_are_those_at_once(samples, monkeypatch):
    """More images than a block of rows, and more features than a block of columns."""
    generator = torch.Generator().manual_seed(samples)
    train, test = (torch.rand(size, 5, generator=generator, dtype=torch.float64) for size in (samples, samples + 7))
    frequencies = 3 * torch.randn(2 * samples + 30, 5, generator=generator, dtype=torch.float64)
    targets = torch.randn(samples, 2, generator=generator, dtype=torch.float64)
    monkeypatch.setattr(random_features, "_COLUMNS", 101)
    at_once, in_parts = (
        fit(train, test, targets, frequencies, 1e-14) for fit in (random_features._fit, random_features._dual_fit)
    )
    assert in_parts.norm == pytest.approx(at_once.norm, rel=1e-5)
    assert in_parts.condition == pytest.approx(at_once.condition, rel=1e-5)
    torch.testing.assert_close(in_parts.train, at_once.train, rtol=0, atol=1e-6)
    torch.testing.assert_close(in_parts.test, at_once.test, rtol=1e-4, atol=1e-5)
