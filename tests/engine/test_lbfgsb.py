"""Maxima over boxes of functions whose maxima are known."""

import numpy as np
import pytest

from gengap.engine.numerics.lbfgsb import maximise

BOUNDS = np.array([[1.0, 0.5, 2.0], [0.2, 3.0, 1.0], [1.0, 1.0, 1.0]])
CENTERS = np.array([[0.3, 2.0, -5.0], [0.1, -1.0, 0.5], [0.0, 0.0, 4.0]])
CURVATURES = np.array([[1.0, 4.0, 0.5], [2.0, 1.0, 9.0], [1.0, 1.0, 1.0]])


def concave(places, points):
    """f_k(z) = -1/2 sum_i h_ki (z_i - c_ki)^2: the maximum over a box is at c, clipped to the box."""
    away = points - CENTERS[places]
    return -0.5 * (CURVATURES[places] * away**2).sum(axis=1), -CURVATURES[places] * away


def test_a_concave_quadratic_has_its_maximum_at_the_clipped_center():
    found = maximise(concave, BOUNDS, 30)
    expected = np.clip(CENTERS, -BOUNDS, BOUNDS)
    np.testing.assert_allclose(found.points, expected, atol=1e-9)
    np.testing.assert_allclose(found.values, concave([0, 1, 2], expected)[0], rtol=1e-12)
    np.testing.assert_allclose(found.start, concave([0, 1, 2], 0 * expected)[0], rtol=1e-15)
    assert found.projected_gradients.max() < 1e-8


def test_a_linear_function_has_its_maximum_in_a_corner():
    slope = np.array([[1.0, -2.0, 1e-9]])
    found = maximise(lambda _, points: (points @ slope[0], np.tile(slope, (len(points), 1))), BOUNDS[:1], 10)
    np.testing.assert_array_equal(found.points, BOUNDS[:1] * [1, -1, 1])
    assert found.projected_gradients == [0.0]


def test_a_climb_is_the_same_alone_and_beside_others():
    """They end after different numbers of steps, so that the calls have one, two or three points."""
    sizes = set()

    def counted(places, points):
        sizes.add(len(places))
        return concave(places, points)

    together = maximise(counted, BOUNDS, 6)
    assert len(sizes) > 1
    for place in range(3):
        alone = maximise(lambda _, points, k=place: concave([k] * len(points), points), BOUNDS[place : place + 1], 6)
        np.testing.assert_array_equal(alone.points[0], together.points[place])
        assert alone.values[0] == together.values[place]
        assert alone.projected_gradients[0] == together.projected_gradients[place]


def test_too_few_iterations_show_in_the_projected_gradient():
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    hessian = directions @ np.diag(np.geomspace(1, 1e4, 20)) @ directions.T
    center = rng.normal(size=20)

    def functions(_, points):
        away = points - center
        return -0.5 * np.einsum("ki,ij,kj->k", away, hessian, away), -away @ hessian

    few, many = (maximise(functions, np.full((1, 20), 100.0), count) for count in (3, 300))
    assert few.values < many.values
    assert few.projected_gradients > 1e3 * many.projected_gradients
    gradient = functions([0], few.points)[1]
    assert few.projected_gradients == pytest.approx(np.linalg.norm(gradient))  # nothing is at a bound


def test_an_error_in_the_function_ends_all_climbs():
    def fails(places, points):
        if np.any(points):
            raise ArithmeticError("out of numbers")
        return concave(places, points)

    with pytest.raises(ArithmeticError, match="out of numbers"):
        maximise(fails, BOUNDS, 10)
