"""Solve the problem of `conic` with any number of bits.

Doubles go first, to a gap of 1e-8; from there `hkm` takes the steps. Gaps and residuals of 10^-k
need about 8 k bits: 1e-31 is reached with 256.
"""

from dataclasses import dataclass

import numpy as np
from flint import arb, ctx

from pipeline.errors import SolverError
from pipeline.packing.balls import Balls, to_doubles
from pipeline.packing.conic import doubles as conic
from pipeline.packing.conic.hkm import Iterate, Newton, Program, State

# The gap to which doubles go: their Newton equations still hold to a few digits there.
_HANDOVER = 1e-8
# Iterations that improve nothing before the precision counts as used up.
_PATIENCE = 8


@dataclass(frozen=True)
class Solution:
    """A point y with `value` = <g, y>; both exact to the working precision.

    `gap` and `dual_residual` as in `conic.Solution`; `iterations` in doubles and after.
    """

    point: Balls
    value: arb
    gap: float
    dual_residual: float
    iterations: int

    def rounded(self) -> conic.Solution:
        """Return the solution in doubles."""
        point, value = to_doubles(self.point), float(self.value)
        return conic.Solution(point, value, self.gap, self.dual_residual, self.iterations)


def solve(problem: conic.Problem, tolerance: float, precision_bits: int) -> Solution:
    """Return a solution with gap and residuals below `tolerance`, or the best that the bits give.

    The caller judges `gap` and `dual_residual`: nothing is called solved here. Deterministic.

    Raises:
        SolverError: no strictly feasible point was approached at all.
    """
    # Powers of two: the problem stays what it is to the last bit.
    scaled = problem.scaled(np.exp2(np.ceil(np.log2(np.abs(problem.rows).max(axis=1)))))
    begin, count = conic.approach(scaled, max(tolerance, _HANDOVER))
    if not conic.State.of(scaled, begin).feasible:
        begin = conic.start(scaled)
    with ctx.workprec(precision_bits):
        program = Program(scaled)
        best = state = State(program, Iterate.of(begin))
        idle = 0
        # The best is kept: close to the end of the precision the error may rise again.
        while idle < _PATIENCE and count < conic.MAX_ITERATIONS:
            if best.error <= tolerance and best.primal_residual < conic.FEASIBLE:
                break
            try:
                state = State(program, Newton(program, state).step())
            except (SolverError, ZeroDivisionError, np.linalg.LinAlgError):
                # The end of this precision: a block is singular to rounding.
                break
            count += 1
            idle = 0 if state.error < best.error else idle + 1
            best = best if idle else state
    if not best.primal_residual < conic.FEASIBLE:
        raise conic.infeasible(best.primal_residual, count)
    return Solution(best.at.y, best.primal, best.gap, best.dual_residual, count)
