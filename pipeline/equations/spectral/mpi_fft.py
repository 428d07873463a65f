"""Real 3-D FFT over MPI ranks that each own a slab of the grid.

Own transposes rather than mpi4py-fft: that package compiles against FFTW's MPI headers, which pip
cannot supply, and this pipeline installs from pip alone. Alltoall with one packing copy rather
than Alltoallw with subarray types: a rank's part of a slab is then one contiguous message, and the
transpose the other way needs no copy before it is sent.

Layouts, P ranks, rank r, grid (n0, n1, n2), m kept modes of the last axis:
    physical  (n0/P, n1, n2)   planes r n0/P, ... of axis 0
    spectral  (n0, n1/P, m)    planes r n1/P, ... of axis 1, in the order of `numpy.fft.rfftn`
"""

from typing import Any

import numpy as np
import scipy.fft

from pipeline.errors import SolverError


class SlabFFT:
    """Transforms fields of shape `grid` over the ranks of `comm` (an mpi4py communicator).

    `num_kept` modes 0, ..., num_kept - 1 of the last axis are kept (all by default): a solver that
    truncates them anyway saves their share of transforms and messages.

    Raises:
        SolverError: the number of ranks does not divide axes 0 and 1.
    """

    def __init__(self, comm: Any, grid: tuple[int, int, int], num_kept: int | None = None) -> None:
        self.comm, self.grid = comm, grid
        self.num_ranks, self.rank = comm.Get_size(), comm.Get_rank()
        for axis in (0, 1):
            if grid[axis] % self.num_ranks:
                raise SolverError(
                    f"mpi_fft: grid axis {axis}: expected a multiple of"
                    f" {self.num_ranks} ranks, got {grid[axis]} points; use a number of ranks"
                    " that divides it"
                )
        # Of a real field the other half are conjugates.
        all_modes = grid[2] // 2 + 1
        self.num_kept = all_modes if num_kept is None else num_kept
        if not 1 <= self.num_kept <= all_modes:
            raise SolverError(f"mpi_fft: num_kept: expected 1 to {all_modes}, got {self.num_kept}")
        self._rows, self._columns = grid[0] // self.num_ranks, grid[1] // self.num_ranks

    @property
    def physical_shape(self) -> tuple[int, int, int]:
        """Return the shape of this rank's part of a real field."""
        return self._rows, self.grid[1], self.grid[2]

    @property
    def spectral_shape(self) -> tuple[int, int, int]:
        """Return the shape of this rank's part of the Fourier coefficients."""
        return self.grid[0], self._columns, self.num_kept

    @property
    def physical_slice(self) -> slice:
        """Return the planes of axis 0 that this rank owns in physical space."""
        return slice(self.rank * self._rows, (self.rank + 1) * self._rows)

    @property
    def spectral_slice(self) -> slice:
        """Return the planes of axis 1 that this rank owns in Fourier space."""
        return slice(self.rank * self._columns, (self.rank + 1) * self._columns)

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Return the coefficients û_k = (1/N) Σ_j u_j e^{-ik·x_j}, N = n0 n1 n2: a new array.

        The factor 1/N is applied here and nowhere else. Collective.
        """
        # Truncated before the other axes are transformed and traded.
        modes = np.asarray(scipy.fft.rfft(values, axis=2, norm="forward"))[..., : self.num_kept]
        modes = np.asarray(scipy.fft.fft(modes, axis=1, norm="forward"))
        modes = self._to_columns(modes)
        return np.asarray(scipy.fft.fft(modes, axis=0, norm="forward", overwrite_x=True))

    def backward(self, modes: np.ndarray) -> np.ndarray:
        """Return the field u_j = Σ_k û_k e^{ik·x_j}, modes that are not kept being 0: a new array.

        Collective; the inverse of `forward` for fields without the modes that are left out.
        """
        columns = np.asarray(scipy.fft.ifft(modes, axis=0, norm="forward"))
        rows = self._to_rows(columns)
        rows = np.asarray(scipy.fft.ifft(rows, axis=1, norm="forward", overwrite_x=True))
        return np.asarray(scipy.fft.irfft(rows, self.grid[2], axis=2, norm="forward"))

    def _to_columns(self, rows: np.ndarray) -> np.ndarray:
        """Return (n0, n1/P, m) from (n0/P, n1, m): all ranks trade blocks of their slabs."""
        if self.num_ranks == 1:
            return rows
        parts = rows.reshape(self._rows, self.num_ranks, self._columns, self.num_kept)
        # The one packing copy: rank by rank, the columns that it will own.
        sent = np.ascontiguousarray(parts.transpose(1, 0, 2, 3))
        # What rank s sends are its planes of axis 0, so the received blocks lie in order.
        received = np.empty_like(sent)
        self.comm.Alltoall(sent, received)
        return received.reshape(self.spectral_shape)

    def _to_rows(self, columns: np.ndarray) -> np.ndarray:
        """Return (n0/P, n1, m) from (n0, n1/P, m): the inverse of `_to_columns`."""
        if self.num_ranks == 1:
            return columns
        # Axis 0 is whole here: the planes of each rank already lie together.
        sent = np.ascontiguousarray(columns)
        received = np.empty(
            (self.num_ranks, self._rows, self._columns, self.num_kept), dtype=columns.dtype
        )
        self.comm.Alltoall(sent, received)
        return np.ascontiguousarray(received.transpose(1, 0, 2, 3)).reshape(
            self._rows, self.grid[1], self.num_kept
        )
