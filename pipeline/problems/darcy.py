"""Darcy flow on the unit square with a random two-valued permeability: a ↦ u."""

from typing import final

import numpy as np
import scipy.fft

from pipeline import config
from pipeline.solvers import darcy as solver

# Samples solved together: converged ones drop out, and memory stays a few grids times this.
_SAMPLES = 16


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
    solvers.darcy); since a jumps, u is first-order accurate near the interfaces, and the discrete
    problem, solved to `tolerance`, is the truth that a model learns.
    """

    num_inputs = num_targets = 1

    def __init__(self, problem: config.Darcy, grid: tuple[int, ...]) -> None:
        self.low, self.high = problem.low, problem.high
        self.tolerance = problem.tolerance
        self.grid = grid
        self._scale = _spectrum(grid, problem.smoothness, problem.inverse_length)

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """Return one input a: (1, N1, N2)."""
        return np.where(self.field(rng) >= 0, self.high, self.low)[None]

    def field(self, rng: np.random.Generator) -> np.ndarray:
        """Return one Gaussian field g at the nodes, (N1, N2), by a cosine transform of type I."""
        modes = self._scale * rng.standard_normal(self.grid)
        # DCT-I doubles all but the first and last term of the sum along each axis.
        for axis in range(2):
            inner = [slice(None), slice(None)]
            inner[axis] = slice(1, -1)
            modes[tuple(inner)] /= 2
        return np.asarray(scipy.fft.dctn(modes, type=1))

    def solve(self, inputs: np.ndarray) -> np.ndarray:
        """Return u for inputs a, both (n, 1, N1, N2), to the relative residual `tolerance`.

        Raises:
            SolverError: see solvers.darcy.solve.
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

    def error(self, inputs: np.ndarray, targets: np.ndarray) -> float:
        """Return the largest relative L2 residual, max over samples of ‖residual‖/‖1‖."""
        return float(np.sqrt((self.residual(inputs, targets) ** 2).mean(axis=(1, 2, 3))).max())


def _spectrum(grid: tuple[int, ...], smoothness: float, inverse_length: float) -> np.ndarray:
    """Return the standard deviation of each cosine mode, times the mode's normalisation."""
    first, second = np.meshgrid(*(np.arange(n) for n in grid), indexing="ij")
    squared = np.pi**2 * (first**2 + second**2) + inverse_length**2
    scale = inverse_length ** (smoothness - 1) * squared ** (-smoothness / 2)
    scale *= np.where(first > 0, np.sqrt(2), 1) * np.where(second > 0, np.sqrt(2), 1)
    scale[0, 0] = 0
    return np.asarray(scale)


build = Darcy
