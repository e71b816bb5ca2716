"""The law of the singular values of large matrices: its integral, its moments, and spectra that were drawn."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import svdvals

from gengap.evidence.figures.matrices import STD, law, share_below

SHAPES = [0.0025, 0.05, 0.5, 0.99, 1.0]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_law_has_area_1_and_the_moments_of_marchenko_and_pastur(shape):
    """Of the squares: mean 1, and 1 + c of their squares."""
    ends = 1 - math.sqrt(shape), 1 + math.sqrt(shape)
    moments = [quad(lambda x, power=power: x**power * law(x, shape), *ends, limit=200)[0] for power in (0, 2, 4)]
    assert moments == pytest.approx([1, 1, 1 + shape], rel=1e-6)
    assert law([ends[0] - 1e-6, ends[1] + 1e-6], shape).tolist() == [0, 0] or shape == 1


def test_a_square_matrix_has_a_quarter_of_a_circle():
    assert law([0, 1, 1.2, 2, 2.1], 1.0) == pytest.approx(np.array([2, math.sqrt(3), 1.6, 0, 0]) / math.pi)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_share_below_is_the_integral(shape):
    low = 1 - math.sqrt(shape)
    for place in (0.01, 0.3, 0.5, 0.9):
        x = low + place * 2 * math.sqrt(shape)
        assert share_below(x, shape) == pytest.approx(quad(law, low, x, args=(shape,), limit=200)[0], abs=1e-6)
    assert share_below([0, low, 1 + math.sqrt(shape), 3], shape).tolist() == pytest.approx([0, 0, 1, 1], abs=1e-7)


@pytest.mark.parametrize(("rows", "columns"), [(400, 40), (400, 200), (300, 300)])
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_a_drawn_spectrum_follows_the_law(distribution, rows, columns):
    """The largest difference of the shares is of the order log(n) / n; one value more if the mean is not 0."""
    rng = np.random.default_rng(0)
    drawn = {"normal": rng.standard_normal, "uniform": rng.random}[distribution]((rows, columns))
    values = np.sort(svdvals(drawn)) / STD[distribution] / math.sqrt(rows)
    shares = share_below(values, columns / rows)
    empirical = np.arange(columns + 1) / columns
    assert max(np.abs(shares - empirical[1:]).max(), np.abs(shares - empirical[:-1]).max()) < 5 / columns
    assert np.abs(share_below(values, columns / rows / 2) - empirical[1:]).max() > 0.05
