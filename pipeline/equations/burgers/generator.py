"""Viscous Burgers equation on the periodic unit interval: u₀ ↦ u(·, T)."""

import math
from collections.abc import Sequence
from typing import final

import numpy as np
import scipy.fft

from pipeline.equations.burgers import config
from pipeline.equations.burgers import error as burgers_error
from pipeline.equations.spectral import etdrk, resolution
from pipeline.errors import SolverError

# The input distribution N(0, σ²(-Δ + τ²)^(-γ)) of Li et al., arXiv:2010.08895, section 5.1.
_AMPLITUDE, _INVERSE_LENGTH, _DECAY = 25.0, 5.0, 2.0
# Rows integrated together: many enough that numpy's overhead is small, few enough for the caches.
_ROWS = 64
_MIN_POINTS = 64
# A finer grid than this is no remedy that a reader wants to hear of.
_MOST_POINTS = 2**16


@final
class Burgers:
    """u_t + ½(u²)_x = ν u_xx for 0 < x < 1, periodic, u(·, 0) = u₀; the target is u(·, T).

    Input: u₀ ~ N(0, 625(-Δ + 25)^(-2)) with zero mean. The operator's constant mode has variance
    625/25² = 1, but the published sampler (GRF1.m of the FNO code) sets it to its `m` = 0, and so
    do we; a nonzero mean c would only shift the solution by cT. That sampler's own script uses
    the parameters 49²(-Δ + 49)^(-2.5); ours are the paper's.

    Fields have shape (n, 1, N) on x_j = j/N. Solver: Fourier–Galerkin with 2/3 dealiasing, ETDRK4
    in time. The modes above N/3 of u₀ only diffuse, exactly. A viscous shock is about 8ν/Δu wide,
    Δu its jump: N = 1024 resolves ν >= 0.005 for this input.
    """

    num_inputs = num_targets = 1
    inputs_are, targets_are = "initial value u(x, 0)", "solution u(x, T) at the final time"

    def __init__(self, problem: config.Burgers, grid: tuple[int, ...]) -> None:
        self._problem = problem
        self.viscosity, self.final_time = problem.viscosity, problem.final_time
        self.time_step = problem.time_step
        (self.num_points,) = grid
        self._frequency = 2 * np.pi * np.arange(self.num_points // 2 + 1)

    @property
    def coordinates(self) -> dict[str, np.ndarray]:
        """Return the nodes along each axis, by its name."""
        return {"x": np.arange(self.num_points) / self.num_points}

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """Return one input (1, N): Σ_k √2 λ_k (ξ_k cos 2πkx + η_k sin 2πkx), 1 <= k < N/2.

        λ_k = 25((2πk)² + 25)^(-1), ξ and η standard normal, drawn in the order of k: the same
        `rng` on another grid gives the same function with more or fewer modes.
        """
        # Without k = N/2, whose sine vanishes on the grid.
        count = (self.num_points + 1) // 2 - 1
        xi = rng.standard_normal((count, 2))
        scale = _AMPLITUDE * (self._frequency[1 : count + 1] ** 2 + _INVERSE_LENGTH**2) ** (
            -_DECAY / 2
        )
        modes = np.zeros(len(self._frequency), dtype=complex)
        # a cos + b sin has the coefficient (a - ib)/2; the unnormalised FFT multiplies by N.
        modes[1 : count + 1] = self.num_points / np.sqrt(2) * scale * (xi[:, 0] - 1j * xi[:, 1])
        return np.asarray(scipy.fft.irfft(modes, self.num_points))[None]

    def solve(
        self, inputs: np.ndarray, time_step: float | None = None, *, adaptive: bool = True
    ) -> np.ndarray:
        """Return u(·, T) for inputs (n, 1, N), in float64, to O(time_step⁴).

        With `adaptive`, modes that have decayed below rounding are not computed (see
        `spectral.resolution`); without it all N/3 are. The two agree to about 1e-13.

        Raises:
            SolverError: the time step is too large and the solution diverged.
        """
        rows = inputs.reshape(-1, self.num_points).astype(np.float64)
        step = self.time_step if time_step is None else time_step
        parts = [
            self._solve(rows[at : at + _ROWS], step, adaptive) for at in range(0, len(rows), _ROWS)
        ]
        return np.asarray(np.concatenate(parts).reshape(inputs.shape))

    def _solve(self, rows: np.ndarray, time_step: float, adaptive: bool) -> np.ndarray:
        kept = etdrk.kept_modes(self.num_points)
        linear = -self.viscosity * self._frequency**2
        modes = np.asarray(scipy.fft.rfft(rows, norm="forward"))
        # Above N/3 the truncated nonlinearity has no modes: what is left is u_t = ν u_xx.
        modes[:, kept:] *= np.exp(linear[kept:] * self.final_time)
        modes[:, :kept] = resolution.integrate(
            modes[:, :kept],
            linear[:kept],
            self._advection,
            self.num_points,
            self.final_time,
            time_step,
            min_points=_MIN_POINTS if adaptive else self.num_points,
        )
        return np.asarray(scipy.fft.irfft(modes, self.num_points, norm="forward"))

    def _advection(self, num_points: int) -> etdrk.Nonlinearity:
        """Return û ↦ -½ ∂_x(u²)^ for the modes kept on a grid of `num_points`."""
        # `squared` returns num_points times the coefficients.
        flux = -0.5j / num_points * self._frequency[: etdrk.kept_modes(num_points)]

        def advection(state: np.ndarray) -> np.ndarray:
            return np.asarray(flux * etdrk.squared(state, num_points))

        return advection

    def errors(
        self, inputs: np.ndarray, targets: np.ndarray, streams: Sequence[np.random.Generator]
    ) -> np.ndarray:
        """Return an estimate of the error of each sample, (n,), in space and in time.

        See `burgers_error.estimate`; the inputs say which functions are solved. Heuristic: at
        least half of the true error wherever a test has compared them.
        """
        return burgers_error.estimate(inputs, targets, self._num_steps, self._solve_elsewhere)

    def error(self, inputs: np.ndarray, targets: np.ndarray) -> float:
        """Return the largest of `errors`: here the inputs alone say which functions they are."""
        return float(self.errors(inputs, targets, ()).max())

    def remedy(
        self, inputs: np.ndarray, targets: np.ndarray, error: float, tolerance: float
    ) -> str:
        """Return in what the estimated `error` of one sample lies, and what lowers it."""
        steps = self._num_steps
        # More than half of the error is one of the time step.
        if 2 * burgers_error.in_time(inputs, targets, steps, self._solve_elsewhere) > error:
            # At fourth order each halving takes a factor of 16 off.
            halvings = math.ceil(math.log2(error / tolerance) / etdrk.ORDER)
            step = self.final_time / steps / 2**halvings
            return f"in time; use a smaller time_step ({step:.2g})"
        # What resolves the shocks of these inputs to 1e-5: one point for each ν of length.
        # A power of two, for fast transforms, and at least a doubling.
        points = 2 ** math.ceil(math.log2(max(2 * self.num_points, 1 / self.viscosity)))
        viscosity = max(1 / self.num_points, 2 * self.viscosity)
        grid = f"a finer grid ({points}) or " if points <= _MOST_POINTS else ""
        return f"in space; use {grid}a larger viscosity ({viscosity:.2g})"

    @property
    def _num_steps(self) -> int:
        return etdrk.count_steps(self.final_time, self.time_step)

    def _solve_elsewhere(self, inputs: np.ndarray, num_steps: int) -> np.ndarray:
        """Return u(·, T) on the grid of `inputs`, (n, 1, any N), after `num_steps` steps."""
        # The inputs hold the whole function: on another grid it is the same one.
        there = Burgers(self._problem, inputs.shape[2:])
        return there.solve(inputs, self.final_time / num_steps)

    def residual(
        self, before: np.ndarray, now: np.ndarray, after: np.ndarray, step: float
    ) -> np.ndarray:
        """Return u_t + u u_x - ν u_xx at the time of `now`, from fields `step` apart: (n, 1, N).

        Central difference in time (O(step²)), spectral derivatives in space of the
        non-conservative form, so that it shares no formula with the solver.
        """
        modes = np.asarray(scipy.fft.rfft(now))
        slope = scipy.fft.irfft(1j * self._frequency * modes, self.num_points)
        curvature = scipy.fft.irfft(-(self._frequency**2) * modes, self.num_points)
        return np.asarray((after - before) / (2 * step) + now * slope - self.viscosity * curvature)


def exact_wave(
    x: np.ndarray, time: float, viscosity: float, amplitude: float, mean: float = 0.0
) -> np.ndarray:
    """Return an exact periodic solution by the Cole–Hopf transformation, same shape as `x`.

    u = c - 2ν φ_x/φ at (x - ct, t), φ = 1 + a e^{-4π²νt} cos 2πx (a heat solution), |a| < 1.
    References: Hopf, Comm. Pure Appl. Math. 3 (1950); Cole, Quart. Appl. Math. 9 (1951).

    Raises:
        SolverError: |amplitude| >= 1, where φ has a zero.
    """
    if abs(amplitude) >= 1:
        raise SolverError(
            f"burgers: expected |amplitude| < 1, got {amplitude}; φ must stay positive"
        )
    phase = 2 * np.pi * (x - mean * time)
    decayed = amplitude * np.exp(-4 * np.pi**2 * viscosity * time)
    slope = -2 * np.pi * decayed * np.sin(phase)
    return np.asarray(mean - 2 * viscosity * slope / (1 + decayed * np.cos(phase)))


def cole_hopf(inputs: np.ndarray, viscosity: float, time: float, refinement: int = 8) -> np.ndarray:
    """Return u(·, time) for zero-mean inputs (..., N) by the Cole–Hopf transformation.

    φ = exp(-∫u₀/2ν) solves the heat equation exactly in Fourier space, u = -2ν φ_x/φ. Spectrally
    accurate on a grid `refinement` times finer as long as φ stays above rounding: its relative
    accuracy is ε max φ/min φ, hence only for moderate ∫u₀/ν. Shares nothing with the solver.
    """
    num_points = inputs.shape[-1]
    fine = refinement * num_points
    frequency = 2 * np.pi * np.arange(fine // 2 + 1)
    modes = np.zeros((*inputs.shape[:-1], len(frequency)), dtype=complex)
    modes[..., : num_points // 2 + 1] = refinement * np.asarray(scipy.fft.rfft(inputs))
    integral = np.zeros_like(modes)
    # ∫u₀ is periodic because u₀ has mean zero.
    integral[..., 1:] = modes[..., 1:] / (1j * frequency[1:])
    potential = scipy.fft.irfft(integral, fine) / (-2 * viscosity)
    # A constant factor of φ cancels in φ_x/φ; this one keeps it below 1.
    phi = scipy.fft.rfft(np.exp(potential - potential.max(axis=-1, keepdims=True)))
    phi = phi * np.exp(-viscosity * frequency**2 * time)
    slope = scipy.fft.irfft(1j * frequency * phi, fine)
    return (-2 * viscosity * slope / scipy.fft.irfft(phi, fine))[..., ::refinement]


build = Burgers
