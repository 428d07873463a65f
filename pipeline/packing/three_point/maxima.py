"""Local maxima of smooth functions of one variable, and of three in the unit cube.

Both start from fine grids and refine; both may miss a maximum that no grid point hints at.
"""

from collections.abc import Callable
from itertools import product

import numpy as np
from scipy.ndimage import maximum_filter

# (N,), or (N, 3) in the unit cube.
Points = np.ndarray
Function = Callable[[Points], np.ndarray]

# Grid maxima are this close to the true ones, relative to the size of the function.
_GRID_ERROR = 1e-3
# The three points of the second parabola, in shares of the grid's spacing.
_NARROW, _LONGEST_MOVE = 0.05, 4.0
# Maxima between grid points are higher than those on it by at most this share of the largest value.
_CUBE_ERROR = 0.05
# A ridge between grid points may hide a maximum: so many of the largest values are starts, too.
_STARTS = 8000
# The last of nine steps is 0.4^8, less than a thousandth, of the first.
_PATTERN_STEPS, _PATTERN_SHRINK = 9, 0.4
_OFFSETS = np.array(list(product((-1.0, 0.0, 1.0), repeat=3)))


def on_line(function: Function, grid: Points, values: np.ndarray) -> Points:
    """Return where a function of size one, sampled on `grid`, has maxima above about zero.

    By a parabola through three grid points, and by a second one through three that are closer.
    """
    left, here, right = values[:-2], values[1:-1], values[2:]
    inside = np.flatnonzero((here >= left) & (here >= right) & (here >= -_GRID_ERROR)) + 1
    ends = np.array([grid[end] for end in (0, -1) if values[end] >= -_GRID_ERROR])
    if not len(inside):
        return ends
    a, b = grid[inside - 1] - grid[inside], grid[inside + 1] - grid[inside]
    rise_a = (values[inside - 1] - values[inside]) / a
    rise_b = (values[inside + 1] - values[inside]) / b
    curvature = (rise_b - rise_a) / (b - a)
    at = grid[inside] + np.clip(_vertex(rise_a - curvature * a, 2 * curvature), a, b)
    # Over the grid's spacing the function is no parabola; over a twentieth of it nearly one.
    width = _NARROW * np.minimum(-a, b)
    low, middle, high = (function(z) for z in (at - width, at, at + width))
    move = _vertex((high - low) / 2, low - 2 * middle + high)
    at = at + width * np.clip(move, -_LONGEST_MOVE, _LONGEST_MOVE)
    return np.concatenate([ends, at])


def in_cube(
    function: Function, edge: np.ndarray, kept: np.ndarray, cell: float
) -> tuple[Points, np.ndarray]:
    """Return local maxima of a function on the unit cube, and its values there.

    The grid is the tensor product of `edge`; `kept` says which of its points are looked at. Starts
    are its local maxima and its largest values, each climbing in steps that shrink; of those ending
    close together (in a cube of width `cell` / 2) the highest is returned, and of the grid points
    with positive values the highest in each cube of width `cell`.
    """
    cube, count = tensor(edge), len(edge)
    values = function(cube)
    box = values.reshape(count, count, count)
    peaks = (maximum_filter(box, size=3, mode="nearest") == box).ravel()
    peaks &= values > -_CUBE_ERROR * float(np.abs(values).max())
    if kept.sum() > _STARTS:
        peaks |= values >= np.partition(values[kept], -_STARTS)[-_STARTS]
    at = climbed(function, cube[peaks & kept], 1.0 / count)
    positive = kept & (values > 0)
    found = [_highest(at, function(at), cell / 2), _highest(cube[positive], values[positive], cell)]
    return np.concatenate([p for p, _ in found]), np.concatenate([v for _, v in found])


def climbed(function: Function, at: Points, step: float) -> Points:
    """Return where each of the points (N, 3) of the unit cube arrives uphill: first by `step`."""
    for _ in range(_PATTERN_STEPS):
        tried = np.clip(at[:, None] + step * _OFFSETS, 0.0, 1.0)
        values = function(tried.reshape(-1, 3)).reshape(len(at), -1)
        at = tried[np.arange(len(at)), values.argmax(axis=1)]
        step *= _PATTERN_SHRINK
    return at


def tensor(edge: np.ndarray) -> Points:
    """Return the points (x, y, z) with coordinates in `edge`, the last fastest."""
    return np.stack(np.meshgrid(edge, edge, edge, indexing="ij"), axis=-1).reshape(-1, 3)


def _vertex(slope: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """Return where a parabola is largest; 0 where it is not concave."""
    where = curvature < 0
    return np.asarray(np.divide(-slope, curvature, out=np.zeros_like(slope), where=where))


def _highest(points: Points, values: np.ndarray, cell: float) -> tuple[Points, np.ndarray]:
    # `unique` returns the first of each cell, here the highest; stable, so that runs repeat.
    order = np.argsort(-values, kind="stable")
    _, first = np.unique(np.floor(points[order] / cell), axis=0, return_index=True)
    return points[order][first], values[order][first]
