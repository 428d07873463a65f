"""Laguerre functions in midpoint arithmetic: the radial eigenfunctions of the Fourier transform.

With a = dim/2 - 1, L_k^a(2 pi |x|^2) exp(-pi |x|^2) has Fourier transform (-1)^k times itself. All
numbers are `arb` midpoints at the working precision of `flint.ctx` (plain high-precision floating
point): nothing here is rigorous.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flint import arb

Row = list[arb]


def table(degree: int, dim: arb, points: Sequence[arb]) -> tuple[list[Row], list[Row]]:
    """Return L_k^a(z) and its derivative for k = 0..degree, a row for each z != 0 of `points`.

    (k+1) L_{k+1} = (2k + 1 + a - z) L_k - (k + a) L_{k-1}, z L_k' = k L_k - (k + a) L_{k-1};
    `dim` may be any real number >= 1. Requires degree >= 1. Cost: O(degree) for each point.
    """
    order = (dim / 2 - 1).mid()
    values, derivatives = [], []
    for z in points:
        row = [arb(1), (1 + order - z).mid()]
        for k in range(1, degree):
            following = (2 * k + 1 + order - z) * row[k] - (k + order) * row[k - 1]
            row.append((following / (k + 1)).mid())
        slope = [arb(0)]
        for k in range(1, degree + 1):
            slope.append(((k * row[k] - (k + order) * row[k - 1]) / z).mid())
        values.append(row)
        derivatives.append(slope)
    return values, derivatives


def at_zero(degree: int, dim: arb) -> Row:
    """Return L_k^a(0) = binomial(k + a, k) for k = 0..degree."""
    order = (dim / 2 - 1).mid()
    row = [arb(1)]
    for k in range(1, degree + 1):
        row.append((row[-1] * (k + order) / k).mid())
    return row


@dataclass(frozen=True)
class Expansion:
    """f(x) = P(z) exp(-z/2), z = 2 pi |x|^2, with transform Q(z) exp(-z/2).

    P = sum (-1)^k c_k L_k^a, Q = sum c_k L_k^a, a = dim/2 - 1, c = `coefficients`.
    """

    dim: int
    coefficients: tuple[arb, ...]

    def function(self, z: arb) -> arb:
        """Return P(z)."""
        return self._sum(z, self._alternating())

    def transform(self, z: arb) -> arb:
        """Return Q(z)."""
        return self._sum(z, self.coefficients)

    def _alternating(self) -> Iterable[arb]:
        return (-c if k % 2 else c for k, c in enumerate(self.coefficients))

    def _sum(self, z: arb, coefficients: Iterable[arb]) -> arb:
        degree, dim = len(self.coefficients) - 1, arb(self.dim)
        # The table divides by z, for its derivatives.
        row = at_zero(degree, dim) if z == 0 else table(degree, dim, [z])[0][0]
        return sum((c * v for c, v in zip(coefficients, row, strict=True)), arb(0)).mid()
