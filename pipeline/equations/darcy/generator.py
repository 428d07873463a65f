"""Darcy flow on the unit square with a random two-valued permeability: a ↦ u."""

import math
from collections.abc import Sequence
from typing import final

import numpy as np
import scipy.fft

from pipeline.equations.darcy import config, solver
from pipeline.equations.refinement import refine_linearly, relative

# Samples solved together: converged ones drop out, and memory stays a few grids times this.
_SAMPLES = 16
# The error is estimated from the same field on spacings this many times smaller, ...
_REFINEMENT = 2
# ... to a few per cent. This is the relative residual of the correction up to a contrast of 4, and
# it falls as 1/contrast beyond: a residual is large where a is large, an error where a is small.
_CORRECTION, _CONTRAST = 0.1, 4.0


@final
class Darcy:
    """-div(a grad u) = 1 on (0,1)², u = 0 on the boundary; input a, target u.

    Input: a = high where g >= 0, low elsewhere, with the Gaussian field
    g = Σ τ^(α-1) (π²|k|² + τ²)^(-α/2) ξ_k c_k cos(πk₁x) cos(πk₂y), k ≠ 0, c_k its L2 norm's
    inverse, ξ_k standard normal: N(0, τ^(2α-2)(-Δ + τ²)^(-α)) with Neumann conditions and without
    its mean, as in the published Darcy data (Li et al., arXiv:2010.08895, section 5.2; GRF.m,
    α = `smoothness`, τ = `inverse_length`).

    Fields have shape (n, 1, N1, N2); the nodes include the boundary, where u is exactly 0. The
    published sets instead sample cell centres and interpolate with splines, which smears the jumps
    of a and leaves u ≠ 0 at the edge. Scheme: 5 points, arithmetic means of a on the faces (see
    `solver`), solved to `tolerance`; since a jumps, u is first-order accurate.
    """

    num_inputs = num_targets = 1
    inputs_are, targets_are = "permeability a", "pressure u"

    def __init__(self, problem: config.Darcy, grid: tuple[int, ...]) -> None:
        self.low, self.high = problem.low, problem.high
        self.tolerance = problem.tolerance
        contrast = max(self.low, self.high) / min(self.low, self.high)
        self._correction_tolerance = _CORRECTION / max(1.0, contrast / _CONTRAST)
        self.grid = grid
        self._scale = _spectrum(grid, problem.smoothness, problem.inverse_length)

    @property
    def coordinates(self) -> dict[str, np.ndarray]:
        """Return the nodes along each axis, by its name."""
        return {name: np.linspace(0, 1, n) for name, n in zip("xy", self.grid, strict=True)}

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """Return one input a: (1, N1, N2)."""
        return np.where(self.field(rng) >= 0, self.high, self.low)[None]

    def field(self, rng: np.random.Generator) -> np.ndarray:
        """Return one Gaussian field g at the nodes, (N1, N2), by a cosine transform of type I."""
        return self._field(rng, 1)

    def _field(self, rng: np.random.Generator, refinement: int) -> np.ndarray:
        """Return the field of `rng` on spacings `refinement` times smaller: the same function."""
        modes = np.zeros([refinement * (n - 1) + 1 for n in self.grid])
        # The same draws on the finer grid, whose further modes stay zero.
        modes[: self.grid[0], : self.grid[1]] = self._scale * rng.standard_normal(self.grid)
        # DCT-I doubles all but the first and last term of the sum along each axis.
        for axis in range(2):
            inner = [slice(None), slice(None)]
            inner[axis] = slice(1, -1)
            modes[tuple(inner)] /= 2
        return np.asarray(scipy.fft.dctn(modes, type=1))

    def solve(self, inputs: np.ndarray) -> np.ndarray:
        """Return u for inputs a, both (n, 1, N1, N2), to the relative residual `tolerance`.

        Raises:
            SolverError: see `solver.solve`.
        """
        parts = [
            solver.solve(inputs[at : at + _SAMPLES, 0], tolerance=self.tolerance)[0]
            for at in range(0, len(inputs), _SAMPLES)
        ]
        return np.concatenate(parts)[:, None]

    def residual(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return -div(a grad u) - 1 at the interior nodes: (n, 1, N1-2, N2-2).

        Written out point by point from the flux balance of a cell, apart from the solver's code.
        """
        a, u = inputs[:, 0], targets[:, 0]
        centre = (slice(None), slice(1, -1), slice(1, -1))
        balance = np.zeros_like(u[centre])
        for axis, num_nodes in enumerate(self.grid, start=1):
            for shift in (-1, 1):
                face = (a[centre] + np.roll(a, shift, axis)[centre]) / 2
                gap = u[centre] - np.roll(u, shift, axis)[centre]
                balance += face * gap * (num_nodes - 1) ** 2
        return (balance - 1)[:, None]

    def errors(
        self, inputs: np.ndarray, targets: np.ndarray, streams: Sequence[np.random.Generator]
    ) -> np.ndarray:
        """Return an estimate of the relative L2 error of each sample at its nodes, (n,).

        The truth is the problem whose permeability is the threshold of the Gaussian field as a
        function, its cosines taken between the nodes as well. `streams` are those that `sample`
        drew the inputs from, anew: a alone does not say where between two nodes it jumps. The same
        field is taken on half the spacing, and twice the distance to the solution there is
        returned: at first order, that of a jumping a, it is the error. The error of the linear
        solver is part of it. Heuristic: 0.95 to 2.2 times the true error in eighteen
        settings, contrasts up to 10⁶ among them.

        Cost: 1.3 solves, measured on 64 x 64 points; 1.5 to 3 at contrasts from 100. The solution
        there is the interpolated one and a correction that is small, so that a few iterations give
        its first digit.
        """
        # As many nodes at a time as in `solve`.
        size = _SAMPLES // _REFINEMENT**2
        parts = [slice(at, at + size) for at in range(0, len(inputs), size)]
        return np.concatenate([self._some_errors(targets[part], streams[part]) for part in parts])

    def _some_errors(
        self, targets: np.ndarray, streams: Sequence[np.random.Generator]
    ) -> np.ndarray:
        field = np.stack([self._field(stream, _REFINEMENT) for stream in streams])
        fine = np.where(field >= 0, self.high, self.low)
        start = refine_linearly(targets[:, 0], _REFINEMENT)
        spacing = 1 / (fine.shape[1] - 1), 1 / (fine.shape[2] - 1)
        gap = np.zeros_like(fine)
        inner = (slice(None), slice(1, -1), slice(1, -1))
        # A (start + correction) = 1, so that the correction solves A c = 1 - A start.
        gap[inner] = 1 - solver.apply(solver.face_coefficients(fine), spacing, start[inner])
        correction, _ = solver.solve(fine, gap, tolerance=self._correction_tolerance)
        nodes = (slice(None), slice(None, None, _REFINEMENT), slice(None, None, _REFINEMENT))
        # First order: half the spacing leaves half the error, and the distance is the other half.
        return 2 * relative(correction[nodes], (start + correction)[nodes])

    def remedy(
        self, inputs: np.ndarray, targets: np.ndarray, error: float, tolerance: float
    ) -> str:
        """Return in what the estimated `error` of one sample lies, and what lowers it."""
        residual = float(np.sqrt((self.residual(inputs, targets) ** 2).mean()))
        if residual > error / 4:
            return f"in the linear system; use a smaller problem.tolerance ({tolerance / 10:.1g})"
        # At first order the spacing has to fall as the error.
        finer = [(n - 1) * math.ceil(error / tolerance) + 1 for n in self.grid]
        return f"in space; use a finer grid ({finer}) or a smaller high / low"


def _spectrum(grid: tuple[int, ...], smoothness: float, inverse_length: float) -> np.ndarray:
    """Return the standard deviation of each cosine mode, times the mode's normalisation."""
    first, second = np.meshgrid(*(np.arange(n) for n in grid), indexing="ij")
    squared = np.pi**2 * (first**2 + second**2) + inverse_length**2
    scale = inverse_length ** (smoothness - 1) * squared ** (-smoothness / 2)
    # cos πkx has the mean square ½ for k > 0, and 1 for k = 0.
    scale *= np.where(first > 0, np.sqrt(2), 1) * np.where(second > 0, np.sqrt(2), 1)
    scale[0, 0] = 0
    return np.asarray(scale)


build = Darcy
