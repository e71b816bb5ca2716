"""Smallest singular values against LAPACK's SVD, closed forms, limits, and another way to draw the same matrices."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.linalg import svdvals

from gengap.evidence.figures.smallest_singular_value import SQUARE, limit
from gengap.simulations.random_matrix import matrix, simulate, singular_values, smallest_singular_value
from gengap.studies.simulation import Point

CPU = torch.device("cpu")


def point(rows, columns, distribution="normal", **settings):
    return Point(simulation="random_matrix", distribution=distribution, rows=rows, columns=columns, **settings)


def draws(n, *shape):
    """Smallest singular values of `n` draws."""
    return simulate(point(*shape), range(n), CPU)["smallest_singular_value"].numpy()


def assert_mean(values, expected, sigmas=4, **tolerance):
    """The mean is the expected one within its own sampling error."""
    error = sigmas * values.std(ddof=1) / math.sqrt(len(values))
    assert values.mean() == pytest.approx(expected, abs=error, **tolerance)


@pytest.mark.parametrize("distribution", ["normal", "uniform", "lognormal"])
@pytest.mark.parametrize("shape", [(50, 7), (7, 50), (64, 64), (300, 65), (300, 299), (300, 300), (65, 300)])
def test_the_fast_method_is_the_svd(shape, distribution):
    drawn = torch.from_numpy(matrix(point(*shape, distribution), 3))
    assert smallest_singular_value(drawn) == pytest.approx(float(torch.linalg.svdvals(drawn)[-1]), rel=1e-10)


@pytest.mark.parametrize("shape", [(120, 120), (200, 120)])
@pytest.mark.parametrize("smallest", [1e-2, 1e-6, 1e-10])
def test_a_planted_value_is_found_to_the_rounding_of_the_condition_number(shape, smallest):
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((size, shape[1])))[0] for size in shape)
    planted = (left * np.r_[np.geomspace(1, 10 * smallest, shape[1] - 1), smallest]) @ right.T
    assert smallest_singular_value(torch.from_numpy(planted)) == pytest.approx(smallest, abs=1e-14)


@pytest.mark.parametrize("shape", [(5, 5), (100, 100), (200, 100)])
def test_a_singular_matrix_has_0(shape):
    assert smallest_singular_value(torch.ones(shape, dtype=torch.float64)) == pytest.approx(0, abs=1e-12)


def test_one_column_is_the_norm_of_a_vector():
    drawn = matrix(point(40, 1), 5)
    assert draws(6, 40, 1)[5] == pytest.approx(np.linalg.norm(drawn), rel=1e-14)
    values = draws(4000, 40, 1)
    assert_mean(values, stats.chi(40).mean())
    assert stats.kstest(values, stats.chi(40).cdf).pvalue > 1e-3


def test_two_columns_in_closed_form():
    """The eigenvalues of a 2 x 2 Gram matrix, by its trace and determinant."""
    drawn = matrix(point(30, 2, "lognormal"), 1)
    (a, b), (_, c) = drawn.T @ drawn
    expected = math.sqrt((a + c) / 2 - math.sqrt((a - c) ** 2 / 4 + b**2))
    assert draws(2, 30, 2, "lognormal")[1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(40, 1), (50, 7), (7, 50), (64, 64), (300, 65)])
def test_all_singular_values_are_those_of_scipy(shape):
    drawn = matrix(point(*shape, "lognormal"), 3)
    np.testing.assert_allclose(singular_values(torch.from_numpy(drawn)), svdvals(drawn), rtol=1e-11)


def test_whole_spectra_are_kept_of_the_first_draws():
    """As many as hold the number that was asked for, whichever draws are computed together."""
    asked = point(12, 5, seeds=(7, 3, 8, 1), spectrum_values=11)
    found = simulate(asked, asked.seeds, CPU)
    spectra = found["matrix_singular_values"]
    assert (spectra.shape, spectra.dtype) == ((3, 5), torch.float64)
    np.testing.assert_allclose(spectra[1], svdvals(matrix(asked, 3)), rtol=1e-12)
    assert found["smallest_singular_value"][:3].numpy() == pytest.approx(spectra[:, -1].numpy(), rel=1e-12)
    apart = [simulate(asked, seeds, CPU)["matrix_singular_values"] for seeds in ((7, 3), (8, 1))]
    assert [len(part) for part in apart] == [2, 1]
    assert torch.equal(torch.cat(apart), spectra)
    for values, kept in ((0, 0), (10**6, 4)):
        other = simulate(point(12, 5, seeds=asked.seeds, spectrum_values=values), asked.seeds, CPU)
        assert other["matrix_singular_values"].shape == (kept, 5)
        assert torch.equal(other["smallest_singular_value"], found["smallest_singular_value"])


@pytest.mark.parametrize(("rows", "columns"), [(200, 80), (100, 100)])
def test_normal_matrices_have_the_distribution_of_bidiagonal_ones(rows, columns):
    """Householder's steps turn a normal matrix into independent chi variables on two diagonals (Silverstein 1985)."""
    rng = np.random.default_rng(2)
    expected = []
    for _ in range(300):
        upper = np.diag(np.sqrt(rng.chisquare(rows - np.arange(columns))))
        upper += np.diag(np.sqrt(rng.chisquare(np.arange(columns - 1, 0, -1))), k=1)
        expected.append(svdvals(upper)[-1])
    assert stats.ks_2samp(draws(300, rows, columns), expected).pvalue > 1e-3


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_tall_matrices_tend_to_the_difference_of_roots(distribution):
    """Finite sizes lie above the limit by a share of the order m^(-2/3): here below 3 %."""
    for rows, columns in ((1000, 50), (1000, 200)):
        values = draws(10, rows, columns, distribution)
        assert values.mean() / limit(distribution, rows, columns) == pytest.approx(1.015, abs=0.02)


def test_square_matrices_tend_to_edelmans_mean():
    values = draws(400, 150, 150)
    assert_mean(values, SQUARE / math.sqrt(150))
    # And to his distribution: P(sqrt(n) sigma_min > t) = exp(-t^2 / 2 - t).
    assert stats.kstest(values * math.sqrt(150), lambda t: 1 - np.exp(-(t**2) / 2 - t)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("distribution", "mean", "variance"),
    [("normal", 0, 1), ("uniform", 1 / 2, 1 / 12), ("lognormal", math.exp(1 / 2), (math.e - 1) * math.e)],
)
def test_entries_have_the_distribution_that_is_named(distribution, mean, variance):
    drawn = matrix(point(2000, 100, distribution), 0)
    assert drawn.mean() == pytest.approx(mean, abs=5 * math.sqrt(variance / drawn.size))
    assert drawn.var() == pytest.approx(variance, rel=0.05)


def test_a_draw_depends_on_its_own_seed_size_and_distribution_alone():
    together = draws(5, 120, 80)
    apart = [float(simulate(point(120, 80), [seed], CPU)["smallest_singular_value"]) for seed in range(5)]
    assert together.tolist() == apart
    assert len(set(together)) == 5
    assert not np.array_equal(matrix(point(10, 6), 0)[:, :5], matrix(point(10, 5), 0))
    assert not np.array_equal(np.exp(matrix(point(9, 9), 0)), matrix(point(9, 9, "lognormal"), 0))
