"""The same flow on a coarser grid in larger steps, and what its distance says of the finer one.

The companion has about 3/4 of the points along each axis and 3/4 of the steps: its Courant number
is about that of the flow itself, and it costs (3/4)⁴ of it, 0.37 to 0.46 by measurement. With an
error e of the flow and q e of the companion, their distance is at least (q - 1) e; ETDRK4 has
q = (4/3)⁴ in the step, and a spectrum that decays faster than that of a fourth-order method has
more in space.
"""

import numpy as np

from pipeline.equations.navier_stokes.solver import NavierStokes
from pipeline.equations.spectral import etdrk
from pipeline.errors import SolverError


class Companion:
    """The flow of `fine` on a coarser grid, over as many of its ranks as divide that grid.

    A state is this rank's part of û on the coarser grid, a zero on a rank without one. Collective
    are all methods, over the ranks of `fine`.
    """

    def __init__(self, fine: NavierStokes) -> None:
        self.fine, self.comm = fine, fine.comm
        self.num_points = coarser_points(fine.num_points)
        # The grid does not depend on the number of ranks, and so does no estimate.
        self._size = max(n for n in range(1, self.comm.size + 1) if self.num_points % n == 0)
        works = self.comm.rank < self._size
        # The split is collective: ranks without a part of the grid get a group that is not used.
        part = self.comm.Split(0 if works else 1, self.comm.rank)
        self.solver = NavierStokes(part, self.num_points, fine.viscosity) if works else None
        self.kept = etdrk.kept_modes(self.num_points)

    def restrict(self, state: np.ndarray) -> np.ndarray:
        """Return the modes of a state of the fine grid that the coarser grid has, as its state."""
        wavenumbers = np.rint(np.fft.fftfreq(self.num_points, 1 / self.num_points)).astype(int)
        # Negative wave numbers lie at the end of an axis: taken modulo its length below.
        rows = wavenumbers[abs(wavenumbers) < self.kept]
        sent = []
        for rank in range(self.comm.size):
            columns = self._columns(wavenumbers, rank)
            mine = columns[self._owner(columns) == self.comm.rank]
            place = mine % self.fine.num_points - self.fine.fft.spectral_slice.start
            block = state[:, (rows % self.fine.num_points)[:, None], place[None, :], : self.kept]
            sent.append(np.ascontiguousarray(block))
        # Both grids divide k_y over ranks, but into slabs of other widths: all trade columns.
        received = self.comm.alltoall(sent)
        if self.solver is None:
            return np.zeros(1, dtype=complex)
        out = np.zeros((3, *self.solver.fft.spectral_shape), dtype=complex)
        columns = self._columns(wavenumbers, self.comm.rank)
        for rank, block in enumerate(received):
            there = columns[self._owner(columns) == rank]
            place = there % self.num_points - self.solver.fft.spectral_slice.start
            out[:, (rows % self.num_points)[:, None], place[None, :]] = block
        return out

    def advance(self, state: np.ndarray, interval: float, num_steps: int) -> bool:
        """Advance `state` in place by `interval` in `num_steps` steps; tell if it is finite."""
        diverged = False
        if self.solver is not None:
            try:
                coefficients = self.solver.step_coefficients(interval / num_steps)
                self.solver.advance(state, coefficients, num_steps)
            except SolverError:
                diverged = True
        # All ranks hear of a failure, those without a part of the grid as well.
        return not any(self.comm.allgather(diverged))

    def distance(self, fine: np.ndarray, coarser: np.ndarray) -> float:
        """Return ‖fine - coarser‖ / ‖fine‖ in the L2 norm, the modes that only one has included."""
        shared = self.restrict(fine)
        kx, ky, kz = self.fine.wavenumbers
        beyond = (abs(kx) >= self.kept) | (abs(ky) >= self.kept) | (kz >= self.kept)
        density = self.fine.multiplicity * (abs(fine) ** 2).sum(axis=0)
        # By Parseval: norms are sums of squares over modes.
        gap = float((density * beyond).sum())
        if self.solver is not None:
            apart = self.solver.multiplicity * (abs(shared - coarser) ** 2).sum(axis=0)
            gap += float(apart.sum())
        gaps, wholes = np.sum(self.comm.allgather((gap, float(density.sum()))), axis=0)
        return float(np.sqrt(gaps / wholes)) if wholes else 0.0

    def _columns(self, wavenumbers: np.ndarray, rank: int) -> np.ndarray:
        """Return the kept k_y of which `rank` has the modes of the coarser grid."""
        width = self.num_points // self._size
        own = wavenumbers[rank * width : (rank + 1) * width]
        return np.asarray(own[abs(own) < self.kept])

    def _owner(self, columns: np.ndarray) -> np.ndarray:
        """Return the rank that has the modes of each k_y on the fine grid."""
        return np.asarray(columns % self.fine.num_points * self.comm.size // self.fine.num_points)


def coarser_points(num_points: int) -> int:
    """Return the even number of points of the companion, about 3/4 of `num_points`."""
    return 2 * round(3 * num_points / 8)


def coarser_steps(num_steps: int) -> int:
    """Return the number of steps of the companion: 3/4 rounded down, and 3 instead of 1."""
    return 3 * num_steps // 4 if num_steps > 1 else 3


def error(distance: float, num_points: int, num_steps: int) -> float:
    """Return the estimated error of a flow at a `distance` from its companion: see above.

    At least the true error if both converge at fourth order or faster, in step and grid. It
    overstates the error of a resolved flow, whose companion is far less accurate.
    """
    in_time = (num_steps / coarser_steps(num_steps)) ** etdrk.ORDER - 1
    in_space = (num_points / coarser_points(num_points)) ** etdrk.ORDER - 1
    # The smaller ratio makes the larger estimate. For one step the companion takes three, more than
    # the flow: hence the absolute value.
    return distance / min(abs(in_time), in_space)
