"""Incompressible Navier–Stokes in a periodic cube over MPI: Fourier–Galerkin, ETDRK4.

u_t + ω × u = -∇(p + ½|u|²) + ν Δu,  ∇·u = 0,  ω = ∇ × u,  0 <= x_i < 2π, kinematic viscosity ν.
A state is this rank's part of û, complex, (3, N, N/P, m): see `mpi_fft` for the layout.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.equations.spectral import etdrk
from pipeline.equations.spectral.mpi_fft import SlabFFT
from pipeline.errors import SolverError


@dataclass(frozen=True)
class Budget:
    """Volume averages of one state; `dissipation` = 2ν `enstrophy`.

    `divergence` is the largest |k·û| relative to the largest |k||û|: rounding if all is well.
    """

    energy: float  # ½⟨|u|²⟩
    enstrophy: float  # ½⟨|ω|²⟩
    dissipation: float  # ν⟨|ω|²⟩ = -dE/dt
    divergence: float


class NavierStokes:
    """The flow on a grid of `num_points`³ over the ranks of `comm` (an mpi4py communicator).

    Galerkin truncation to |k_i| < N/3 makes the quadratic term free of aliasing, so that it
    conserves energy exactly in space and the rotational form equals every other one. Viscosity is
    integrated exactly (ETDRK4, `etdrk`), the rest to O(h⁴).

    Guarantee: spectral accuracy for flows resolved by N/3 modes; stable roughly for
    h max|u| N/3 < 2.8. Cost of a step: 4 evaluations of `advection`, 9 transforms each.

    Raises:
        SolverError: an odd number of points, or one that the number of ranks does not divide.
    """

    def __init__(self, comm: Any, num_points: int, viscosity: float) -> None:
        if num_points % 2:
            raise SolverError(f"navier_stokes: expected an even number of points, got {num_points}")
        self.comm, self.num_points, self.viscosity = comm, num_points, viscosity
        kept = etdrk.kept_modes(num_points)
        self.fft = SlabFFT(comm, (num_points,) * 3, kept)
        every = np.fft.fftfreq(num_points, 1 / num_points)
        first, second, last = every, every[self.fft.spectral_slice], np.arange(kept, dtype=float)
        self.wavenumbers = (first[:, None, None], second[None, :, None], last[None, None, :])
        kx, ky, kz = self.wavenumbers
        self.k_squared = np.asarray(kx**2 + ky**2 + kz**2)
        self.resolved = (abs(kx) < kept) & (abs(ky) < kept) & (kz < kept)
        # The mean (k = 0) has no gradient part: any finite value serves.
        self._inverse_k_squared = 1 / np.where(self.k_squared == 0, 1, self.k_squared)
        # Modes with 0 < k_z stand for their conjugates as well.
        self.multiplicity = np.where(kz == 0, 1.0, 2.0)

    def from_physical(self, velocity: np.ndarray) -> np.ndarray:
        """Return the state of a velocity field (3, N/P, N, N): truncated and made solenoidal."""
        modes = np.stack([self.fft.forward(component) for component in velocity])
        return self.project(modes)

    def to_physical(self, state: np.ndarray) -> np.ndarray:
        """Return the velocity (3, N/P, N, N) of a state on this rank's planes of axis 0."""
        return np.stack([self.fft.backward(component) for component in state])

    def project(self, modes: np.ndarray) -> np.ndarray:
        """Return P û = û - k (k·û)/|k|² in place, modes beyond the truncation set to 0."""
        modes *= self.resolved
        # The gradient part of û is its component along k.
        along = self.divergence(modes) * self._inverse_k_squared
        for component, k in zip(modes, self.wavenumbers, strict=True):
            component -= k * along
        return modes

    def divergence(self, modes: np.ndarray) -> np.ndarray:
        """Return k·û, the coefficients of -i∇·u."""
        kx, ky, kz = self.wavenumbers
        return np.asarray(kx * modes[0] + ky * modes[1] + kz * modes[2])

    def curl(self, modes: np.ndarray) -> np.ndarray:
        """Return ik × û, the vorticity of a state."""
        kx, ky, kz = self.wavenumbers
        u, v, w = modes
        return np.stack([1j * (ky * w - kz * v), 1j * (kz * u - kx * w), 1j * (kx * v - ky * u)])

    def advection(self, state: np.ndarray) -> np.ndarray:
        """Return P (u × ω)^, a new array: the right-hand side without viscosity. Collective."""
        u, v, w = self.to_physical(state)
        a, b, c = self.to_physical(self.curl(state))
        # The rotational form: three fields and three vorticities back, three products forward.
        return self.from_physical(np.stack([v * c - w * b, w * a - u * c, u * b - v * a]))

    def step_coefficients(self, time_step: float) -> etdrk.Coefficients:
        """Return what `advance` needs for steps of this length."""
        # |k|² takes few distinct values; the contour means are costly.
        distinct, where = np.unique(self.k_squared, return_inverse=True)
        found = etdrk.coefficients(-self.viscosity * distinct, time_step)
        whole = {name: value[where].reshape(where.shape) for name, value in vars(found).items()}
        return etdrk.paired(etdrk.Coefficients(**whole))

    def advance(self, state: np.ndarray, c: etdrk.Coefficients, num_steps: int) -> None:
        """Take `num_steps` steps in place. Collective.

        Raises:
            SolverError: the solution became infinite or NaN; on every rank alike.
        """
        problem = ""
        try:
            etdrk.advance(state, c, self.advection, num_steps)
        except SolverError as error:
            problem = str(error)
        # A rank that left alone would leave the others waiting for ever. The largest text is a
        # message if there is one: no message is empty.
        problem = max(self.comm.allgather(problem))
        if problem:
            raise SolverError(problem)

    def budget(self, state: np.ndarray) -> Budget:
        """Return the averages of a state, the same on every rank. Collective."""
        # ⟨|ω|²⟩ = Σ |k|² |û|² because û is solenoidal.
        square = self.multiplicity * (abs(state) ** 2).sum(axis=0)
        sums = np.array([square.sum(), (self.k_squared * square).sum()]) / 2
        energy, enstrophy = np.sum(self.comm.allgather(sums), axis=0)
        largest = np.array(
            [
                abs(self.divergence(state)).max(),
                np.sqrt((self.k_squared * (abs(state) ** 2).sum(axis=0)).max()),
            ]
        )
        divergent, gradient = np.max(self.comm.allgather(largest), axis=0)
        return Budget(
            float(energy),
            float(enstrophy),
            float(2 * self.viscosity * enstrophy),
            float(divergent / gradient) if gradient else 0.0,
        )

    def spectrum(self, state: np.ndarray) -> np.ndarray:
        """Return E(k) for shells |k| in [k - ½, k + ½), k = 0, 1, ...: sums to the energy.

        Shells beyond N/3 are cut by the cube of kept modes. Collective.
        """
        # Parseval with coefficients normalised by 1/N: the sum over modes is the mean ½⟨|u|²⟩.
        density = self.multiplicity * (abs(state) ** 2).sum(axis=0) / 2
        shells = np.bincount(self.shell().ravel(), density.ravel(), minlength=self.num_shells)
        return np.asarray(np.sum(self.comm.allgather(shells), axis=0))

    def shell(self) -> np.ndarray:
        """Return the number of the shell of every mode of this rank: |k| rounded."""
        # Modes outside the truncation, whose |k| may be larger, carry nothing.
        rounded = np.rint(np.sqrt(self.k_squared)).astype(int)
        return np.asarray(np.where(self.resolved, rounded, 0))

    @property
    def num_shells(self) -> int:
        """Return the number of shells that the kept modes reach, the mean's included."""
        return int(np.rint(np.sqrt(3) * (etdrk.kept_modes(self.num_points) - 1))) + 1
