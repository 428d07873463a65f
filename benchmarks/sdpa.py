"""SDPA-GMP as a peer: problems in its form, and what it makes of them.

The wheel `sdpa-multiprecision` 0.2.3 takes data and gives values as doubles and computes in between
with 256 bits, whatever its option `mpfPrecision` says (results and times are the same for 53 and
1,000). Its other parameters are the defaults, but it starts at the identity, not at 100 times that:
fewer steps on both kinds of problems. The way that its manual calls unstable but fast saved another
5%, and ended less feasible.
"""

import contextlib
import importlib
import io
import time
import warnings
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

PRECISION_BITS = 256
_OPTIONS = {
    "print": "no",
    "numThreads": 1,
    "maxIteration": 300,
    "lambdaStar": 1.0,
}


@dataclass(frozen=True)
class Instance:
    """Minimise <c, x>, A x = b, or maximise <b, y>, c - A^T y in the same cone.

    The cone: `num_nonnegative` numbers, then semidefinite matrices of `sizes`, all their entries.
    """

    matrix: NDArray[np.float64]
    right: NDArray[np.float64]
    costs: NDArray[np.float64]
    num_nonnegative: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """Values of the two problems, in CPU `seconds`; a result only if `phase` is pdOPT.

    `gap` (relative) and `infeasibility`, the larger error in both problems' equations, are what the
    solver says of itself.
    """

    primal: float
    dual: float
    gap: float
    phase: str
    iterations: int
    infeasibility: float
    seconds: float


def load() -> ModuleType | None:
    """Return the peer's module, or None if it is not installed."""
    try:
        return importlib.import_module("sdpap")
    except ModuleNotFoundError:
        return None


def solve(sdpap: ModuleType, instance: Instance, tolerance: float) -> Outcome:
    """Return what the peer finds when it is asked for gap and errors below `tolerance`."""
    matrix = sparse.csc_matrix(instance.matrix)
    cone = sdpap.SymCone(l=instance.num_nonnegative, s=instance.sizes)
    equations = sdpap.SymCone(f=len(instance.right))
    options = {**_OPTIONS, "epsilonStar": tolerance, "epsilonDash": tolerance}
    started = time.process_time()
    # It checks the rounded solution by eigenvalues in double precision, and prints what goes wrong.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore", RuntimeWarning)
        *_, found = sdpap.solve(matrix, instance.right, instance.costs, cone, equations, options)
    return Outcome(
        found["primalObj"],
        found["dualObj"],
        found["dualityGap"],
        found["phasevalue"],
        found["iteration"],
        max(found["primalError"], found["dualError"]),
        time.process_time() - started,
    )
