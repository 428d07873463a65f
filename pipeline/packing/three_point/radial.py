"""The function f_2 of the three-point bound, in coordinates that doubles can work with.

f_2 = P(z) exp(-z/2), f_2^ = Q(z) exp(-z/2) are expansions in Laguerre functions (`laguerre`), whose
coefficients at an optimum cancel by tens of digits: P is of size 10^-4 P(0) at r and of very
different sizes between its roots. So the two-point optimum of the same degree is found first, in
high precision. It gives the radius r, the size of every condition (the envelope of |P| and |Q|
between their roots) and, from these, an orthonormal basis: in its coordinates the conditions of the
three-point problem, near that optimum, are of order one. Everything here is heuristic.

Shapes: z (N,), y (K+1,), rows (N, K+1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from flint import arb, arb_mat, ctx

from pipeline.packing import balls, laguerre, rounding, solver

# Samples between two roots of the two-point optimum.
_SAMPLES = 12
_BEYOND = (1.0, 1.5, 2.0, 4.0, 10.0)
# f_2 is sampled from just below r, where the diagonal condition begins.
_BELOW_RADIUS = 0.95


@dataclass(frozen=True)
class RadialBasis:
    """Coordinates y of f_2: c = `basis` y are the coefficients c_k of `laguerre.Expansion`.

    `knots` are samples of z with the sizes of P and Q there; `radius_squared` is z_r = 2 pi r^2 of
    the two-point optimum.
    """

    dim: int
    degree: int
    precision_bits: int
    basis: arb_mat
    knots: np.ndarray
    log_function: np.ndarray
    log_transform: np.ndarray
    radius_squared: float

    def transform_rows(self, z: np.ndarray) -> np.ndarray:
        """Return Q(z) over its size, as linear forms in y."""
        return np.asarray(self._rows(z, alternating=False) / self.transform_size(z)[:, None])

    def function_rows(self, z: np.ndarray) -> np.ndarray:
        """Return P(z) over its size, as linear forms in y."""
        return np.asarray(self._rows(z, alternating=True) / self.function_size(z)[:, None])

    def at_zero(self) -> tuple[np.ndarray, np.ndarray]:
        """Return P(0) and Q(0) as linear forms in y."""
        origin = np.zeros(1)
        return self._rows(origin, alternating=True)[0], self._rows(origin, alternating=False)[0]

    def function_size(self, z: np.ndarray) -> np.ndarray:
        """Return the size of P near z, at the two-point optimum with Q(0) = 1."""
        # Between knots by the logarithm: sizes fall by many orders of magnitude.
        return np.asarray(np.exp(np.interp(z, self.knots, self.log_function)))

    def transform_size(self, z: np.ndarray) -> np.ndarray:
        """Return the size of Q near z."""
        return np.asarray(np.exp(np.interp(z, self.knots, self.log_transform)))

    def grid(self, count: int) -> np.ndarray:
        """Return increasing z: `count` from each knot to the next within the lobes, all knots."""
        # Beyond the lobes P and Q are monotonous, and their sizes known at the knots only.
        lobes = self.knots[: len(self.knots) - len(_BEYOND) + 1]
        fine = [np.linspace(a, b, count, endpoint=False) for a, b in pairwise(lobes)]
        return np.concatenate([*fine, self.knots[-len(_BEYOND) :]])

    def coefficients(self, y: np.ndarray) -> list[arb]:
        """Return the coefficients c_k at `precision_bits`."""
        with ctx.workprec(self.precision_bits):
            column = arb_mat(len(y), 1, [arb(float(value)) for value in y])
            return [c.mid() for c in (self.basis * column).entries()]

    def _rows(self, z: np.ndarray, *, alternating: bool) -> np.ndarray:
        with ctx.workprec(self.precision_bits):
            rows = _laguerre_rows(self.degree, self.dim, z, alternating=alternating)
            entries = (arb_mat(rows) * self.basis).entries()
        return np.array([float(entry) for entry in entries]).reshape(len(z), self.degree + 1)


def basis(dim: int, degree: int, precision_bits: int) -> RadialBasis:
    """Return the coordinates made from the two-point optimum of `degree` = 4m + 3.

    Raises:
        SolverError: see `solver.solve`.
    """
    quadrature = solver.solve(dim, degree, precision_bits)
    certificate = rounding.certificate(quadrature, precision_bits=precision_bits)
    with ctx.workprec(precision_bits):
        optimum = laguerre.Expansion(dim, tuple(arb(c) for c in certificate.coefficients))
        nodes = [float(z) for z in quadrature.nodes]
        last = 1.15 * nodes[-1]
        ends = [0.0, *nodes, last]
        between = [np.linspace(a, b, _SAMPLES, endpoint=False) for a, b in pairwise(ends)]
        knots = np.concatenate([*between, last * np.array(_BEYOND)])
        origin = optimum.transform(arb(0))
        transform = [optimum.transform(arb(float(z))) / origin for z in knots]
        function = [optimum.function(arb(float(z))) / origin for z in knots]
        log_transform = _log_envelope(transform, len(_BEYOND))
        log_function = _log_envelope(function, len(_BEYOND))
        weights = (np.exp(-log_transform), np.exp(-log_function))
        coordinates = _orthonormal(dim, degree, knots, weights, nodes[0])
    return RadialBasis(
        dim,
        degree,
        precision_bits,
        coordinates,
        knots,
        log_function,
        log_transform,
        nodes[0],
    )


def _log_envelope(values: Sequence[arb], num_beyond: int) -> np.ndarray:
    """Return the logarithm of the largest |value| within one lobe; as it is beyond the roots."""
    logs = np.array([float(abs(v).log()) if v != 0 else -np.inf for v in values])
    # Towards a root |value| falls to 0: divided by it, the condition would blow up there.
    envelope = logs.copy()
    last = len(logs) - num_beyond + 1
    for i in range(last):
        envelope[i] = logs[max(0, i - _SAMPLES) : min(i + _SAMPLES + 1, last)].max()
    return envelope


def _orthonormal(
    dim: int,
    degree: int,
    knots: np.ndarray,
    weights: tuple[np.ndarray, np.ndarray],
    radius_squared: float,
) -> arb_mat:
    """Return C with orthonormal columns of (weighted samples of Q and P) C."""
    beyond = knots > _BELOW_RADIUS * radius_squared
    transform = _laguerre_rows(degree, dim, knots, alternating=False)
    function = _laguerre_rows(degree, dim, knots[beyond], alternating=True)
    scales = [*weights[0], *weights[1][beyond]]
    rows = [
        [(entry * arb(float(scale))).mid() for entry in row]
        for row, scale in zip([*transform, *function], scales, strict=True)
    ]
    # With the Gram matrix = L L^T, C = L^-T. It squares the condition number: bits pay for that.
    samples = arb_mat(rows)
    factor = balls.cholesky(samples.transpose() * samples)
    inverse = factor.transpose().inv()
    size = degree + 1
    return arb_mat(size, size, [entry.mid() for entry in inverse.entries()])


def _laguerre_rows(
    degree: int, dim: int, points: np.ndarray, *, alternating: bool
) -> list[laguerre.Row]:
    """Return L_k(z), or (-1)^k L_k(z), a row for each point."""
    rows = []
    for z in points:
        if z == 0:
            row = laguerre.at_zero(degree, arb(dim))
        else:
            row = laguerre.table(degree, arb(dim), [arb(float(z))])[0][0]
        rows.append([-v if alternating and k % 2 else v for k, v in enumerate(row)])
    return rows
