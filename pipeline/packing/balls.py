"""Matrices and vectors of `arb` as arrays of objects: numpy's indexing, flint's products.

All at the working precision. `midpoints` drops the radii: what is left is floating point arithmetic
with that many bits.
"""

import numpy as np
from flint import arb, arb_mat

from pipeline.errors import SolverError

Balls = np.ndarray

# Radii would grow with every step until they say nothing; iterations correct their own errors.
_midpoints = np.frompyfunc(lambda ball: ball.mid(), 1, 1)
_from_doubles = np.frompyfunc(lambda number: arb(float(number)), 1, 1)
_to_doubles = np.frompyfunc(float, 1, 1)


def midpoints(balls: Balls) -> Balls:
    """Return the midpoints, exact numbers."""
    return np.asarray(_midpoints(balls))


def from_doubles(numbers: np.ndarray) -> Balls:
    """Return doubles as they are."""
    return np.asarray(_from_doubles(numbers))


def to_doubles(balls: Balls) -> np.ndarray:
    """Return the midpoints, rounded."""
    return np.asarray(_to_doubles(balls), dtype=float)


def matrix(balls: Balls) -> arb_mat:
    """Return a two-dimensional array as flint has it."""
    return arb_mat(balls.tolist())


def entries(found: arb_mat) -> Balls:
    """Return a matrix of flint as an array."""
    return np.array(found.entries(), dtype=object).reshape(found.nrows(), found.ncols())


def product(left: Balls, right: Balls) -> Balls:
    """Return the product of two matrices."""
    return entries(matrix(left) * matrix(right))


def times(left: arb_mat, vector: Balls) -> Balls:
    """Return the midpoints of the product of a matrix and a vector."""
    found = left * arb_mat(len(vector), 1, vector.tolist())
    return np.array(found.mid().entries(), dtype=object)


def dot(left: Balls, right: Balls) -> arb:
    """Return the midpoint of the sum of products of entries."""
    return (left.ravel() @ right.ravel()).mid()


def cholesky(gram: arb_mat) -> arb_mat:
    """Return the lower triangular factor in midpoint arithmetic.

    Raises:
        SolverError: a pivot is not positive.
    """
    size = gram.nrows()
    lower = [[arb(0)] * size for _ in range(size)]
    for j in range(size):
        for i in range(j, size):
            inner = sum((lower[i][k] * lower[j][k] for k in range(j)), arb(0))
            rest = (gram[i, j] - inner).mid()
            if i == j and not rest > 0:
                raise SolverError(
                    f"Cholesky factorisation of size {size}: expected a positive pivot {j + 1},"
                    f" got {rest.str(3)}; raise the precision"
                )
            lower[i][j] = rest.sqrt().mid() if i == j else (rest / lower[j][j]).mid()
    return arb_mat(lower)
