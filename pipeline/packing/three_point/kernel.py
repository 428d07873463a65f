"""The kernel f_3 of the three-point bound: its unknowns, its values, and their rows in A y.

All lengths are in units where z = 2 pi |x|^2 = rho^2. For x, y in the shell inner <= rho <= outer,
with u, v their squares and w = <x, y>,

    f_3(x, y) = sum_l H_l(w, uv) / outer^(2 l) * sum_ij F_l[i, j] T_i(xi(u)) T_j(xi(v)),

i, j <= d - l, T_i Chebyshev on the shell (xi maps [inner^2, outer^2] to [-1, 1]) and
H_l(w, uv) = (uv)^(l/2) C_l(w / sqrt(uv)) / C_l(1), C_l Gegenbauer with index n/2 - 1. In block 0
one more function stands first: 1 at the origin, 0 on the shell. Only differences of centres are
ever inserted, so f_3 needs to be defined on {0} and the shell alone, and nothing ties the two: a
polynomial on the whole ball (Cohn, de Laat, Salmon, arXiv:2206.15373) is a special case, and the
Chebyshev basis of the shell makes the conditions well scaled in double precision.

Shapes: arguments u, v, w are (N,), rows are (N, num_unknowns), block l is (size_l, size_l).
"""

from dataclasses import dataclass
from functools import cached_property
from math import exp, sqrt

import numpy as np

from pipeline.packing.conic.doubles import block_slices, smat

Samples = np.ndarray


@dataclass(frozen=True)
class Kernel:
    """Degree and radii of f_3; its unknowns are svec of F_l = S_l M_l S_l with M_l of size one.

    Without the diagonal scales S_l no unknown would be of size one: on the shell f_3 is smaller
    than f_3(0, 0) by the squared number of neighbours, and f_3(0, 0) is smaller than f(0) by
    exp(-inner^2 / 2).
    """

    dim: int
    degree: int
    inner: float
    outer: float

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the sizes of the blocks F_0, ..., F_d."""
        return (self.degree + 2, *range(self.degree, 0, -1))

    @cached_property
    def slices(self) -> list[slice]:
        """Return where the blocks lie in the unknowns."""
        return block_slices(0, self.sizes)

    @property
    def num_unknowns(self) -> int:
        """Return the length of the vector of unknowns."""
        return int(self.slices[-1].stop)

    @property
    def origin_scale(self) -> float:
        """Return the entry of S_0 for the origin."""
        return sqrt(self._gain * self._neighbours)

    @property
    def shell_scale(self) -> float:
        """Return all other entries of S_l."""
        return sqrt(self._gain / self._neighbours)

    @property
    def _gain(self) -> float:
        # What f_3 adds to f_2 on the shell, roughly.
        return 0.1 * exp(-(self.inner**2) / 2)

    @property
    def _neighbours(self) -> float:
        # Kissing numbers, roughly.
        return float(2 ** (0.75 * self.dim + 1))

    def blocks(self, unknowns: np.ndarray) -> list[np.ndarray]:
        """Return F_0, ..., F_d."""
        matrices = [smat(unknowns[q], k) for q, k in zip(self.slices, self.sizes, strict=True)]
        for index, matrix in enumerate(matrices):
            scales = np.full(len(matrix), self.shell_scale)
            if index == 0:
                scales[0] = self.origin_scale
            matrix *= scales[:, None] * scales
        return matrices

    def rows(self, u: Samples, v: Samples, w: Samples) -> np.ndarray:
        """Return f_3(x, y) as linear forms in the unknowns."""
        left, right, angular = self._radial(u), self._radial(v), self._angular(u, v, w)
        rows = np.zeros((len(u), self.num_unknowns))
        for index, (q, size) in enumerate(zip(self.slices, self.sizes, strict=True)):
            first = 1 if index == 0 else 0
            a, b = left[: size - first], right[: size - first]
            i, j = np.triu_indices(size - first)
            # svec has off-diagonal entries times sqrt(2), and each stands for two of the matrix.
            products = (a[i] * b[j] + a[j] * b[i]) * np.where(i == j, 0.5, 0.5**0.5)[:, None]
            full_i, _ = np.triu_indices(size)
            # A slice is a view: the assignment under the mask reaches `rows`.
            rows[:, q][:, full_i >= first] = (products * angular[index]).T
        return rows * self.shell_scale**2

    def origin_rows(self, u: Samples) -> np.ndarray:
        """Return f_3(x, 0) as linear forms in the unknowns."""
        rows = np.zeros((len(u), self.num_unknowns))
        rows[:, 1 : self.sizes[0]] = self._radial(u).T * 0.5**0.5
        return rows * self.shell_scale * self.origin_scale

    def values(self, blocks: list[np.ndarray], u: Samples, v: Samples, w: Samples) -> Samples:
        """Return f_3(x, y) for given F_0, ..., F_d; cheaper than `rows`."""
        left, right, angular = self._radial(u), self._radial(v), self._angular(u, v, w)
        total = np.zeros(len(u))
        for index, block in enumerate(blocks):
            inner = block[1:, 1:] if index == 0 else block
            a, b = left[: len(inner)], right[: len(inner)]
            total += angular[index] * np.einsum("in,in->n", a, inner @ b)
        return total

    def _radial(self, u: Samples) -> np.ndarray:
        low, high = self.inner**2, self.outer**2
        xi = (2 * u - low - high) / (high - low)
        values = [np.ones_like(xi), xi]
        for _ in range(1, self.degree):
            values.append(2 * xi * values[-1] - values[-2])
        return np.array(values[: self.degree + 1])

    def _angular(self, u: Samples, v: Samples, w: Samples) -> np.ndarray:
        """Return H_l(w, uv) / outer^(2 l)."""
        order = self.dim / 2 - 1
        scaled, square = w / self.outer**2, u * v / self.outer**4
        values = [np.ones_like(scaled), scaled]
        for k in range(1, self.degree):
            following = 2 * (k + order) * scaled * values[-1] - k * square * values[-2]
            values.append(following / (k + 2 * order))
        return np.array(values[: self.degree + 1])
