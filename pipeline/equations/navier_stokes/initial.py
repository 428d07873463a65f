"""Initial velocity fields in the periodic cube, the same on any number of ranks."""

import numpy as np

from pipeline.equations.navier_stokes.solver import NavierStokes
from pipeline.parallel.streams import of_modes


def coordinates(solver: NavierStokes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y, z of this rank's points, shaped to broadcast to (N/P, N, N)."""
    axis = 2 * np.pi * np.arange(solver.num_points) / solver.num_points
    mine = axis[solver.fft.physical_slice]
    return mine[:, None, None], axis[None, :, None], axis[None, None, :]


def taylor_green(solver: NavierStokes) -> np.ndarray:
    """Return the state of u = (sin x cos y cos z, -cos x sin y cos z, 0), energy 1/8.

    With unit length and velocity the Reynolds number is 1/ν.
    Reference: Brachet et al., J. Fluid Mech. 130 (1983), 411–452, eq. (1.1) with θ = 0.
    """
    x, y, z = coordinates(solver)
    u = np.sin(x) * np.cos(y) * np.cos(z)
    v = -np.cos(x) * np.sin(y) * np.cos(z)
    return solver.from_physical(np.stack([u, v, np.zeros_like(u)]))


def random_field(
    solver: NavierStokes, seed: int, energy: float, peak_wavenumber: float
) -> np.ndarray:
    """Return a random solenoidal state with E(k) ∝ k⁴ exp(-2 (k/k_p)²), `energy` in all.

    Gaussian modes with random phases, then each shell scaled so that its energy is exactly that of
    the spectrum (`NavierStokes.spectrum`), over the shells inside the truncation. The modes of
    each (k_x, k_y) come from their own stream in the order of k_z: the field does not depend on
    the number of ranks but for rounding, nor, but for the modes it lacks, on the grid.
    Collective. Cost: N²/P streams, about 30 µs each.
    """
    modes = np.zeros((3, *solver.fft.spectral_shape), dtype=complex)
    kx, ky, _ = (np.asarray(k, dtype=int).ravel() for k in solver.wavenumbers)
    kept = solver.fft.num_kept
    for i, j in np.ndindex(len(kx), len(ky)):
        if max(abs(kx[i]), abs(ky[j])) < kept:
            modes[:, i, j] = _line(seed, int(kx[i]), int(ky[j]), kept)
    solver.project(modes)
    # A real field: the stream of -k gives the conjugate, and the mean is zero.
    modes *= solver.k_squared > 0
    shells = np.arange(solver.num_shells)
    wanted = shells**4.0 * np.exp(-2 * (shells / peak_wavenumber) ** 2) * (shells < kept)
    wanted *= energy / wanted.sum()
    found = solver.spectrum(modes)
    # Each shell gets its energy exactly: random draws would leave the fluctuation of few modes.
    scale = np.sqrt(np.divide(wanted, found, out=np.zeros_like(found), where=found > 0))
    modes *= scale[solver.shell()] * solver.resolved
    return modes


def _line(seed: int, kx: int, ky: int, count: int) -> np.ndarray:
    """Return the draws (3, count) for k_z = 0, ..., count - 1 at (k_x, k_y)."""
    rng = of_modes(seed, kx, ky)
    draws = rng.standard_normal((count, 3, 2))
    line = np.asarray((draws[..., 0] + 1j * draws[..., 1]).T)
    # Of k and -k exactly one has (k_x, k_y) below (0, 0), in lexicographic order.
    if (kx, ky) < (0, 0):
        # At k_z = 0 the mode at -k is on the grid too, and must be the conjugate.
        mirror = of_modes(seed, -kx, -ky)
        first = mirror.standard_normal((1, 3, 2))[0]
        line[:, 0] = first[:, 0] - 1j * first[:, 1]
    return line
