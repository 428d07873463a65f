import numpy as np
import pytest
from mpi4py import MPI
from mpi_runner import on_ranks

from pipeline.equations.spectral.mpi_fft import SlabFFT
from pipeline.errors import SolverError

# Every rank writes its slab of the coefficients and what comes back of the field.
SCRIPT = """
import sys
import numpy as np
from cluster import mpi
from pipeline.equations.spectral.mpi_fft import SlabFFT

grid, kept, out = eval(sys.argv[2]), eval(sys.argv[3]), sys.argv[4]
comm = mpi.world(int(sys.argv[1]))
field = np.random.default_rng(0).standard_normal(grid)
fft = SlabFFT(comm, grid, kept)
modes = fft.forward(field[fft.physical_slice])
np.savez(f"{out}/{comm.rank}.npz", modes=modes, back=fft.backward(modes))
"""


def expected(grid, kept=None):
    field = np.random.default_rng(0).standard_normal(grid)
    modes = np.fft.rfftn(field, norm="forward")
    if kept:
        modes[..., kept:] = 0
    return modes[..., :kept], np.fft.irfftn(modes, grid, axes=(0, 1, 2), norm="forward")


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize(
    ("grid", "kept"), [((8, 12, 10), None), ((16, 8, 9), None), ((12, 4, 12), 4)]
)
def test_slabs_are_those_of_numpy(tmp_path, ranks, grid, kept):
    on_ranks(ranks, SCRIPT, ranks, grid, kept, tmp_path)
    parts = [np.load(tmp_path / f"{rank}.npz") for rank in range(ranks)]
    modes, field = expected(grid, kept)
    np.testing.assert_allclose(
        np.concatenate([part["modes"] for part in parts], axis=1), modes, rtol=0, atol=1e-15
    )
    np.testing.assert_allclose(
        np.concatenate([part["back"] for part in parts], axis=0), field, rtol=0, atol=1e-14
    )


def test_one_point_per_rank_and_axis(tmp_path):
    on_ranks(4, SCRIPT, 4, (4, 4, 2), None, tmp_path)
    parts = [np.load(tmp_path / f"{rank}.npz")["back"] for rank in range(4)]
    np.testing.assert_allclose(np.concatenate(parts), expected((4, 4, 2))[1], atol=1e-15)


class ThreeRanks:
    """Enough of a communicator to be refused."""

    def Get_size(self):  # noqa: N802
        return 3

    def Get_rank(self):  # noqa: N802
        return 0


@pytest.mark.parametrize(("grid", "axis"), [((8, 9, 8), 0), ((9, 8, 8), 1)])
def test_a_number_of_ranks_that_does_not_divide_is_refused(grid, axis):
    with pytest.raises(SolverError, match=f"grid axis {axis}: expected a multiple of 3 ranks"):
        SlabFFT(ThreeRanks(), grid)


@pytest.mark.parametrize("kept", [0, 6])
def test_an_impossible_number_of_modes_is_refused(kept):
    with pytest.raises(SolverError, match=f"num_kept: expected 1 to 5, got {kept}"):
        SlabFFT(MPI.COMM_SELF, (8, 8, 8), kept)
