"""Maxima between grid points, against functions whose maxima are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.packing.three_point import maxima

inside = st.floats(0.1, 0.9)


@given(st.floats(0.15, 0.85), st.floats(2, 12))
def test_a_maximum_on_a_line_is_found_to_the_square_of_what_a_grid_misses(place, frequency):
    def function(z):
        return np.cos(frequency * (z - place)) ** 3 - 1 + 1e-9

    grid = np.linspace(0, 1, 400)
    found = maxima.on_line(function, grid, function(grid))
    assert np.abs(found - place).min() < 1e-6
    assert function(found).max() == pytest.approx(1e-9, abs=1e-10)


def test_maxima_far_below_zero_are_left_out():
    grid = np.linspace(0, 1, 100)
    function = lambda z: np.cos(20 * z) - 1.5  # noqa: E731
    assert len(maxima.on_line(function, grid, function(grid))) == 0


@settings(max_examples=20, deadline=None)
@given(st.tuples(inside, inside, inside), st.floats(0, 0.97))
def test_the_top_of_a_tilted_ridge_is_found(top, correlation):
    # A ridge across the grid: along it the function falls slowly, across it fast.
    shape = np.eye(3) - correlation * np.ones((3, 3)) / 3

    def function(cube):
        away = cube - np.array(top)
        return 1e-3 - 40 * np.einsum("ni,ij,nj->n", away, shape, away)

    edge = (1 - np.cos(np.pi * np.arange(30) / 29)) / 2
    kept = np.ones(30**3, bool)
    points, values = maxima.in_cube(function, edge, kept, 0.1)
    assert values.max() == pytest.approx(1e-3, abs=2e-6)
    np.testing.assert_allclose(points[values.argmax()], top, atol=0.02)
    np.testing.assert_allclose(function(points), values)


def test_maxima_on_the_boundary_and_in_corners_are_found():
    def function(cube):
        return cube @ np.array([1.0, 2.0, -1.0]) - 2.9

    edge = np.linspace(0, 1, 11)
    points, values = maxima.in_cube(function, edge, np.ones(11**3, bool), 0.05)
    assert values.max() == pytest.approx(0.1)
    np.testing.assert_array_equal(points[values.argmax()], [1, 1, 0])
