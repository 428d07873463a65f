"""Solve the two-point linear program at one degree through its dual, a quadrature of Gauss type.

Take degree K = 4m + 3. Weak duality: let nodes z_0 < ... < z_m and weights w_i > 0 satisfy

    p(0) + sum_i w_i p(z_i) = 0    for p = L_k^a, k = 1, 3, ..., K (odd k: -1 eigenfunctions).

Let f have degree <= K, f^ >= 0, f(0) = f^(0) and f <= 0 beyond z_r <= z_0. Then p = f^ - f has
p(0) = 0 and every p(z_i) >= 0, so all p(z_i) vanish, doubly beyond z_r. If z_r < z_0 these are as
many conditions as p has coefficients, and (their matrix being regular) p = 0, so f = 0: no function
of this degree, normalised by f(0) = f^(0), reaches below z_0. The equations of the quadrature are
2m + 2 in the 2m + 2 unknowns z_i, w_i; Newton's method solves them, and the transpose of its
Jacobian is the matrix of the primal problem (see `rounding`). Heuristic throughout: the numbers
become a bound only when `pipeline.certify` accepts the certificate made from them.

Cost: one (2m+2)-dimensional solve a Newton step, 2 to 6 steps for each m on the way up, at low
precision but for the last m.
References: Cohn & Elkies, Ann. of Math. 157 (2003), section 7; Afkhami-Jeddi, Cohn, Hartman,
de Laat, Tajdini, arXiv:2006.02560 (the same equations as the spinless modular bootstrap).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from flint import arb, arb_mat, ctx

from pipeline.errors import SolverError
from pipeline.packing import laguerre

# A node off by d moves the double root it prescribes, not the bound: that moves by d^2.
_NODE_TOLERANCE = 1e-20
# On the way a solution only has to predict the next one.
_PATH_TOLERANCE = 1e-5
# Of them most go to the Newton equations, whose condition number grows with the degree.
_PATH_BITS = 192
_MAX_STEPS = 16
# z_0 falls with the degree; late in the path by less than the path resolves.
_LARGEST_RISE = 1 + 1e-8
# Below dimension 8 the nodes crowd as the degree grows; they are followed from there.
_ANCHOR_DIM = 8
_SMALLEST_DIM_STEP = 2.0**-10


@dataclass(frozen=True)
class Rung:
    """One degree of a climb: where its rough solution has the nodes, and its Newton steps."""

    nodes: tuple[float, ...]
    newton_steps: int


# The rungs for m = 0, 1, ... that a solve has behind it, by the dimension it climbs in. They do not
# depend on where the climb is to end, so they serve every degree.
Climbs = Mapping[int, tuple[Rung, ...]]


@dataclass(frozen=True)
class Quadrature:
    """Nodes z_0 < ... < z_m (in z = 2 pi |x|^2) and positive weights, of degree K = 4m + 3.

    `newton_steps` counts all steps spent on the way.
    """

    dim: int
    degree: int
    nodes: tuple[arb, ...]
    weights: tuple[arb, ...]
    newton_steps: int


@dataclass(frozen=True)
class _Iterate:
    nodes: list[arb]
    weights: list[arb]
    steps: int


def solve(
    dim: int,
    degree: int,
    precision_bits: int,
    *,
    resume: Climbs | None = None,
    reached: Callable[[Climbs], None] | None = None,
) -> Quadrature:
    """Return the quadrature of `degree` = 4m + 3 in dimension `dim`, nodes accurate to 1e-20.

    Continuation in the degree from m = 0; where that loses the branch (low dimensions), the
    solution in dimension 8 is followed down through real dimensions. `reached` is given all rungs
    after each new one. With such as `resume` the solve goes on from there, to the same bits.

    Raises:
        SolverError: no continuation reaches the degree at `precision_bits`.
    """
    if degree < 3 or degree % 4 != 3:
        raise SolverError(f"degree: expected 4m + 3 >= 3, got {degree}; use {degree | 3}")
    last = degree // 4
    climbs = dict(resume or {})

    def climbed(where: int) -> tuple[_Iterate | None, int]:
        def keep(rungs: tuple[Rung, ...]) -> None:
            climbs[where] = rungs
            if reached:
                reached(dict(climbs))

        return _climb(where, last, climbs.get(where, ()), keep)

    with ctx.workprec(precision_bits):
        # Straight up first: the way by dimension 8 is as long a climb, and a descent after it.
        found, steps = climbed(dim)
        if found is None and dim < _ANCHOR_DIM:
            anchor, more = climbed(_ANCHOR_DIM)
            steps += more
            if anchor is not None:
                found, more = _descend(anchor, dim)
                steps += more
    if found is None:
        raise SolverError(
            f"two-point bound, dimension {dim}: expected a quadrature of degree {degree} at"
            f" {precision_bits} bits, found none; {_remedy(degree, precision_bits)}"
        )
    return Quadrature(dim, degree, tuple(found.nodes), tuple(found.weights), steps)


def _remedy(degree: int, precision_bits: int) -> str:
    """Return what helps where no continuation reaches the degree.

    The lowest degree has a solution in every dimension. From `_PATH_BITS` on more bits leave the
    path as it is, which is lost below the degree: below 15 in dimension 1, 403 in dimension 8.
    """
    if degree == 3:
        return "raise precision_bits"
    if precision_bits < _PATH_BITS:
        return f"raise precision_bits to {_PATH_BITS}; where that does not help, lower the degree"
    return "lower the degree (more precision_bits do not help)"


def _climb(
    dim: int, last: int, rungs: tuple[Rung, ...], reached: Callable[[tuple[Rung, ...]], None]
) -> tuple[_Iterate | None, int]:
    """Return the solution with m = `last` and the Newton steps of all m up to it."""
    rungs = rungs[:last]
    while True:
        at_end = len(rungs) == last
        found = _next(dim, rungs, at_end)
        if found is None or at_end:
            break
        rungs = (*rungs, Rung(tuple(float(z) for z in found.nodes), found.steps))
        reached(rungs)
    steps = sum(rung.newton_steps for rung in rungs)
    return found, steps + (found.steps if found else 0)


def _next(dim: int, rungs: tuple[Rung, ...], at_end: bool) -> _Iterate | None:
    """Return the solution above `rungs`, or None where the branch is lost."""
    # From the stored doubles alone, so that a resumed climb repeats the bits of an undisturbed one.
    history = [list(rung.nodes) for rung in rungs]
    guesses = _guesses(history) if history else [[_first_node(float(dim))]]
    for guess in guesses:
        if not _increasing(guess):
            continue
        found = _newton(arb(dim), [arb(z) for z in guess], at_end)
        if found and (not rungs or float(found.nodes[0]) < rungs[-1].nodes[0] * _LARGEST_RISE):
            return found
    return None


def _descend(start: _Iterate, dim: int) -> tuple[_Iterate | None, int]:
    """Follow `start` from the anchor dimension down to `dim` with secant predictions."""
    here, step, current, steps = float(_ANCHOR_DIM), 0.25, start, 0
    # No secant is known before the first step: it predicts that nothing moves.
    slope = [arb(0)] * len(start.nodes)
    while here > dim:
        step = min(step, here - dim)
        guess = [(z - s * step).mid() for z, s in zip(current.nodes, slope, strict=True)]
        at_end = here - step <= dim
        found = _newton(arb(here - step), guess, at_end) if _increasing(guess) else None
        if found is None:
            step /= 2
            if step < _SMALLEST_DIM_STEP:
                return None, steps
            continue
        pairs = zip(current.nodes, found.nodes, strict=True)
        slope = [((old - new) / step).mid() for old, new in pairs]
        here, current, steps = here - step, found, steps + found.steps
        step = min(2 * step, 0.25)
    return current, steps


def _newton(dim: arb, nodes: list[arb], at_end: bool) -> _Iterate | None:
    """Return the converged quadrature near `nodes`, or None (no convergence, a weight <= 0).

    It is exact to `_NODE_TOLERANCE` at the end of the path, before it as rough as the path allows.
    """
    if at_end:
        return _converged(dim, nodes, _NODE_TOLERANCE)
    with ctx.workprec(min(ctx.prec, _PATH_BITS)):
        return _converged(dim, nodes, _PATH_TOLERANCE)


def _converged(dim: arb, nodes: list[arb], tolerance: float) -> _Iterate | None:
    """Return the quadrature near `nodes` to `tolerance`, or None.

    With d_i the node corrections, linearisation gives, for odd k and scaled by L_k(0),
    sum_i w_i L_k(z_i) + (w_i d_i) L_k'(z_i) = -L_k(0): linear in w_i and w_i d_i.
    """
    size = len(nodes)
    degree = 4 * size - 1
    scale = laguerre.at_zero(degree, dim)
    right = arb_mat(2 * size, 1, [-1] * (2 * size))
    for step in range(1, _MAX_STEPS + 1):
        values, slopes = laguerre.table(degree, dim, nodes)
        rows = [
            [(row[k] / scale[k]).mid() for row in (*values, *slopes)]
            for k in range(1, degree + 1, 2)
        ]
        try:
            # No enclosure is needed: what this solve misses, the next Newton step corrects.
            solution = arb_mat(rows).solve(right, algorithm="approx").entries()
        except ZeroDivisionError:
            return None
        weights = [w.mid() for w in solution[:size]]
        moves = [(d / w).mid() for d, w in zip(solution[size:], weights, strict=True)]
        largest = max(abs(float(move)) for move in moves)
        nodes = _moved(nodes, moves)
        if largest < tolerance:
            # With a negative weight the quadrature is no dual solution: it is of another branch.
            good = all(w > 0 for w in weights)
            return _Iterate(nodes, weights, step) if good and _increasing(nodes) else None
        if not np.isfinite(largest) or not _increasing(nodes):
            return None
    return None


def _moved(nodes: list[arb], moves: list[arb]) -> list[arb]:
    """Return nodes + t * moves, t <= 1 such that no node moves by more than 0.35 of a gap.

    Gaps are those to both neighbours, and to 0: nodes that move towards each other stay apart.
    """
    ticks = [0.0] + [float(z) for z in nodes]
    gaps = np.diff(ticks)
    room = np.minimum(gaps, np.append(gaps[1:], np.inf))
    sizes = np.array([abs(float(move)) for move in moves])
    ratio = float(np.max(sizes / room))
    damping = arb(1) if ratio <= 0.35 else arb(0.35 / ratio)
    return [(z + damping * move).mid() for z, move in zip(nodes, moves, strict=True)]


def _increasing(nodes: Sequence[float] | Sequence[arb]) -> bool:
    ticks = [0.0] + [float(z) for z in nodes]
    return all(left < right for left, right in zip(ticks, ticks[1:], strict=False))


def _first_node(dim: float) -> float:
    """Return z_0 for m = 0: the largest root of L_1(z)/L_1(0) - L_3(z)/L_3(0), over z a quadratic.

    With b = a + 1 and t = z: 1 - t/b = 1 - 3t/b + 3t^2/(b(b+1)) - t^3/(b(b+1)(b+2)).
    """
    b = dim / 2
    constant, linear = 2.0 * (b + 1) * (b + 2), 3.0 * (b + 2)
    return (linear + sqrt(linear**2 - 4 * constant)) / 2


def _guesses(history: list[list[float]]) -> Iterator[list[float]]:
    """Yield starting nodes for the next m, the most plausible first."""
    if len(history) > 1:
        yield [_predicted(history, i) for i in range(len(history) + 1)]
        return
    first = history[0][0]
    # One solution cannot be extrapolated: spacings that between them serve dimensions 1 to 48.
    for shrink in (0.93, 0.97, 0.9, 1.0):
        for ratio in (1.5, 1.7, 2.1, 2.5, 3.0, 4.0, 4.5):
            yield [first * shrink, first * shrink * ratio]


def _predicted(history: list[list[float]], index: int) -> float:
    """Return where node `index` of the next m is expected.

    As m grows, the i-th node from the left tends to a limit (extrapolated geometrically along its
    column), the j-th from the right moves on steadily (extrapolated polynomially along its
    diagonal). Of these the one is taken that would have predicted its last known term best: near
    the ends the choice is clear, in between it changes slowly.
    """
    column = [row[index] for row in history if len(row) > index]
    distance = len(history) - index
    diagonal = [row[len(row) - 1 - distance] for row in history if len(row) > distance]
    methods = ((column, 2, _limit), (diagonal, 2, _linear))
    best, miss = 0.96 * column[-1] if column else diagonal[-1], float("inf")
    for values, needed, next_of in (*methods, (diagonal, 3, _quadratic)):
        if len(values) < needed:
            continue
        earlier = values[:-1]
        missed = abs(next_of(earlier) - values[-1]) if len(earlier) >= needed else float("inf")
        if missed <= miss:
            best, miss = next_of(values), missed
    return best


def _limit(column: list[float]) -> float:
    last = column[-1] - column[-2]
    if len(column) == 2:
        return column[-1] + 0.3 * last
    before = column[-2] - column[-3]
    # Bounded, so that two nearly equal differences do not predict a jump.
    ratio = min(max(last / before if before else 0.0, 0.0), 0.9)
    return column[-1] + ratio * last


def _linear(values: list[float]) -> float:
    return 2 * values[-1] - values[-2]


def _quadratic(values: list[float]) -> float:
    return 3 * values[-1] - 3 * values[-2] + values[-3]
