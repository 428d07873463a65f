"""Solve min <g, y> with one equality, inequalities and small matrix blocks, in double precision.

    minimise <g, y>   subject to   <e, y> = 1,   A y <= b,   F_l(y) positive semidefinite,

where the blocks F_l are unknowns themselves: y = (y_free, svec F_0, svec F_1, ...), svec being the
upper triangle by rows with off-diagonal entries times sqrt(2). The dual has x >= 0, X_l >= 0, nu:

    g + A^T x - svec X + nu e = 0,   maximise -<b, x> - nu.

A primal-dual interior point method with Nesterov-Todd scaling and Mehrotra's corrector. The Newton
equations are B^T B dy = ... with B = (sqrt(x/s) A; svec of G_l^-1 . G_l^-T), s = b - A y and
F_l = G_l D_l G_l^T, X_l = G_l^-T D_l G_l^-1. The usual way forms and factors B^T B, which squares
the condition number: on three-point bounds that stops at gaps of 1e-6. Here B itself is factored
(QR), and the triangular factor used with one step of refinement: gaps of 1e-12 are reached.
Reference: Todd, Toh, Tuetuencue, SIAM J. Optim. 8 (1998), section 3; Bjoerck, Linear Algebra Appl.
88 (1987), for the refined seminormal equations. Cost of an iteration: 2 N m^2 for N rows in A.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import qr, solve_triangular

from pipeline.errors import SolverError

# Shapes: m unknowns, N inequalities, blocks of size k with k (k + 1) / 2 unknowns each.
Vector = np.ndarray
Matrix = np.ndarray
Blocks = list[Matrix]

MAX_ITERATIONS = 150
# Iterations with hardly a step before the solver says that it stalls.
_MAX_STALLED = 4
_STALLED_STEP = 1e-3
# Multipliers that grow so far are a ray: there is no feasible point.
_INFEASIBLE = 1e25
# Rows have size one, and so has the equality.
FEASIBLE = 1e-9
_ROOT = float(np.sqrt(2))


@dataclass(frozen=True)
class Problem:
    """g (m,), e (m,), A (N, m) and b (N,) as above.

    `num_free` entries of y come before the blocks of size `sizes`.
    """

    objective: Vector
    equality: Vector
    rows: np.ndarray
    limits: np.ndarray
    num_free: int
    sizes: tuple[int, ...]

    @property
    def slices(self) -> list[slice]:
        """Return where the blocks lie in y."""
        return block_slices(self.num_free, self.sizes)

    def scaled(self, by: np.ndarray) -> "Problem":
        """Return the problem with the rows divided by numbers: slacks shrink, multipliers grow."""
        return replace(self, rows=self.rows / by[:, None], limits=self.limits / by)


@dataclass(frozen=True)
class Solution:
    """A point y with `value` = <g, y>.

    `gap` = (<x, s> + sum <X_l, F_l>) / |value| is the relative duality gap up to what the dual
    equations miss, `dual_residual` (relative to the multipliers).
    """

    point: Vector
    value: float
    gap: float
    dual_residual: float
    iterations: int


def svec(matrix: np.ndarray, root: Any = _ROOT) -> np.ndarray:
    """Return the symmetric part of `matrix` as a vector with the same inner products.

    `root` is the square root of 2, to the precision of the matrix.
    """
    i, j = np.triu_indices(len(matrix))
    return np.where(i == j, matrix[i, j], (matrix[i, j] + matrix[j, i]) / root)


def smat(vector: np.ndarray, size: int, root: Any = _ROOT) -> np.ndarray:
    """Return the symmetric matrix with `svec` equal to `vector`."""
    matrix = np.zeros((size, size), dtype=np.result_type(vector, float))
    i, j = np.triu_indices(size)
    matrix[i, j] = matrix[j, i] = np.where(i == j, vector, vector / root)
    return matrix


def block_slices(num_free: int, sizes: Sequence[int]) -> list[slice]:
    """Return where svec F_0, svec F_1, ... lie in y."""
    ends = num_free + np.cumsum([k * (k + 1) // 2 for k in sizes])
    starts = [num_free, *ends[:-1]]
    return [slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]


def solve(problem: Problem, tolerance: float) -> Solution:
    """Return a solution whose relative gap is below `tolerance`, or the best that doubles give.

    The caller judges `gap`: nothing is called solved here. Deterministic.

    Raises:
        SolverError: no strictly feasible point was approached at all.
    """
    # Rows of size one: slacks and multipliers are then of comparable size.
    scaled = problem.scaled(np.abs(problem.rows).max(axis=1))
    iterate, count = approach(scaled, tolerance)
    state = State.of(scaled, iterate)
    if not state.feasible:
        raise infeasible(state.primal_residual, count)
    gap = state.complementarity / abs(state.primal)
    return Solution(iterate.y, state.primal, gap, state.dual_residual, count)


def approach(problem: Problem, tolerance: float) -> tuple["Iterate", int]:
    """Return the last iterate for a problem with rows of size one, and how many came before it.

    It is feasible with a gap below `tolerance`, or the iterates have come to an end.
    """
    iterate, stalled, count = start(problem), 0, 0
    while True:
        state = State.of(problem, iterate)
        if state.feasible and state.complementarity < tolerance * abs(state.primal):
            break
        if state.dual_size > _INFEASIBLE or count == MAX_ITERATIONS:
            break
        try:
            step = _Newton(problem, iterate, state).step()
        except np.linalg.LinAlgError:
            # The end of double precision: a block is singular to rounding.
            break
        iterate, lengths = step
        count += 1
        stalled = stalled + 1 if max(lengths) < _STALLED_STEP else 0
        if stalled == _MAX_STALLED:
            break
    return iterate, count


def infeasible(residual: float, count: int) -> SolverError:
    """Return the error for a point that misses inequalities or the equality by `residual`."""
    return SolverError(
        f"conic solver: expected a feasible point, residual {residual:.1e} after {count}"
        " iterations; change the kernel's degree or its radii"
    )


@dataclass(frozen=True)
class Iterate:
    """y, s = b - A y and the multipliers x, X_l, nu, up to residuals; s, x and all blocks > 0."""

    y: Vector
    s: np.ndarray
    x: np.ndarray
    duals: Blocks
    nu: float


def start(problem: Problem) -> Iterate:
    """Return where the iterations begin: at identities."""
    y = np.zeros(len(problem.objective))
    for size, where in zip(problem.sizes, problem.slices, strict=True):
        y[where] = svec(np.eye(size))
    slack = np.maximum(1.0, np.abs(problem.limits - problem.rows @ y))
    return Iterate(y, slack, np.ones(len(slack)), [np.eye(k) for k in problem.sizes], 0.0)


def _blocks(problem: Problem, y: Vector) -> Blocks:
    return [smat(y[q], k) for q, k in zip(problem.slices, problem.sizes, strict=True)]


@dataclass(frozen=True)
class State:
    """Residuals and values at an iterate."""

    row_residual: np.ndarray
    dual_vector: Vector
    equality_residual: float
    mu: float
    degree: int
    primal: float
    dual_size: float

    @staticmethod
    def of(problem: Problem, at: Iterate) -> "State":
        """Return those of `at`."""
        blocks = _blocks(problem, at.y)
        dual_vector = -problem.objective - problem.rows.T @ at.x - problem.equality * at.nu
        for where, dual in zip(problem.slices, at.duals, strict=True):
            dual_vector[where] += svec(dual)
        degree = len(at.s) + sum(problem.sizes)
        products = sum(float((f * x).sum()) for f, x in zip(blocks, at.duals, strict=True))
        return State(
            problem.limits - problem.rows @ at.y - at.s,
            dual_vector,
            float(1 - problem.equality @ at.y),
            (float(at.x @ at.s) + products) / degree,
            degree,
            float(problem.objective @ at.y),
            1 + max(float(np.abs(x).max()) for x in (at.x, *at.duals)),
        )

    @property
    def primal_residual(self) -> float:
        """Return by how much b - A y - s and <e, y> - 1 miss 0."""
        return max(float(np.abs(self.row_residual).max()), abs(self.equality_residual))

    @property
    def dual_residual(self) -> float:
        """Return by how much the dual equations are missed, relative to the multipliers."""
        return float(np.abs(self.dual_vector).max()) / self.dual_size

    @property
    def complementarity(self) -> float:
        """Return <x, s> + sum <X_l, F_l>."""
        return self.mu * self.degree

    @property
    def feasible(self) -> bool:
        """Return whether inequalities and equality hold, to doubles."""
        return self.primal_residual < FEASIBLE


@dataclass(frozen=True)
class _Scaling:
    """G^-1 and D with F = G D G^T and X = G^-T D G^-1."""

    inverse: np.ndarray
    diagonal: np.ndarray

    @staticmethod
    def of(block: np.ndarray, dual: np.ndarray) -> "_Scaling":
        # With R^T L = U D V^T, G^-1 = D^(-1/2) U^T R^T turns both F and X into D.
        left, right = np.linalg.cholesky(block), np.linalg.cholesky(dual)
        u, d, _ = np.linalg.svd(right.T @ left)
        return _Scaling((u / np.sqrt(d)).T @ right.T, d)

    def congruence(self) -> np.ndarray:
        """Return the matrix of S -> svec(G^-1 S G^-T) on svec S."""
        g = self.inverse
        i, j = np.triu_indices(len(g))
        rows = np.where(i == j, 1.0, np.sqrt(2))
        columns = np.where(i == j, 0.5, 1 / np.sqrt(2))
        products = g[np.ix_(i, i)] * g[np.ix_(j, j)] + g[np.ix_(i, j)] * g[np.ix_(j, i)]
        return np.asarray(products * rows[:, None] * columns)


@dataclass(frozen=True)
class _Direction:
    """A step; that of slacks, multipliers and blocks in scaled coordinates."""

    y: Vector
    nu: float
    slack: np.ndarray
    multiplier: np.ndarray
    blocks: Blocks
    duals: Blocks


class _Newton:
    """The factored Newton equations at one iterate."""

    def __init__(self, problem: Problem, at: Iterate, state: State) -> None:
        self.problem, self.at, self.state = problem, at, state
        self.slices = problem.slices
        blocks = _blocks(problem, at.y)
        self.scalings = [_Scaling.of(f, x) for f, x in zip(blocks, at.duals, strict=True)]
        self.weights, self.products = np.sqrt(at.x / at.s), np.sqrt(at.x * at.s)
        num_rows, m = problem.rows.shape
        # By columns, as LAPACK wants it: a copy into that order costs as much as the factorisation.
        matrix = np.zeros((num_rows + m - problem.num_free, m), order="F")
        np.multiply(problem.rows, self.weights[:, None], out=matrix[:num_rows])
        shift = num_rows - problem.num_free
        for scaling, q in zip(self.scalings, self.slices, strict=True):
            matrix[q.start + shift : q.stop + shift, q] = scaling.congruence()
        # No column scaling has a condition number better by more than sqrt(m) (van der Sluis 1969).
        self.column_scale = 1 / np.linalg.norm(matrix, axis=0)
        matrix *= self.column_scale
        self.matrix = matrix
        copy = matrix.copy(order="F")
        # Q would take as much memory as B; `_normal` makes do without (seminormal equations).
        (factor,) = qr(copy, mode="r", overwrite_a=True, check_finite=False)
        self.triangle = np.asfortranarray(factor[:m])
        equality = self.column_scale * problem.equality
        self.equality_root = solve_triangular(self.triangle, equality, trans="T")

    def step(self) -> tuple[Iterate, tuple[float, float]]:
        """Return the next iterate and the two step lengths: predictor, corrector, line search."""
        affine = self._direction(0.0, None)
        primal, dual = self._lengths(affine)
        reached = (self.products + dual * affine.multiplier) @ (
            self.products + primal * affine.slack
        )
        for scaling, f, x in zip(self.scalings, affine.blocks, affine.duals, strict=True):
            d = np.diag(scaling.diagonal)
            reached += ((d + dual * x) * (d + primal * f)).sum()
        # Mehrotra: the farther the predictor gets, the less the corrector has to centre.
        centring = (float(reached) / self.state.degree / self.state.mu) ** 3
        # A short step says that a boundary is close: aim at the central path first.
        if min(primal, dual) < 0.1:
            centring = max(centring, 0.3)
        direction = self._direction(min(1.0, max(centring, 1e-6)), affine)
        primal, dual = self._lengths(direction)
        # Never onto the boundary, where the scaling is singular.
        share = 0.9 if min(primal, dual) < 0.5 else 0.97
        primal, dual = min(1.0, share * primal), min(1.0, share * dual)
        return self._moved(direction, primal, dual), (primal, dual)

    def _direction(self, centring: float, affine: _Direction | None) -> _Direction:
        """Return the step towards `centring` times mu, with the second-order term of `affine`."""
        target, problem = centring * self.state.mu, self.problem
        right = target - self.products**2
        if affine:
            right -= affine.multiplier * affine.slack
        right /= self.products
        block_right = []
        for index, scaling in enumerate(self.scalings):
            d = scaling.diagonal
            wanted = np.diag(target - d**2)
            if affine:
                product = affine.duals[index] @ affine.blocks[index]
                wanted = wanted - (product + product.T) / 2
            # In these coordinates F = X = D, so that D S + S D = 2 `wanted` is solved by entries.
            block_right.append(2 * wanted / (d[:, None] + d))
        scaled_rows = self.weights * self.state.row_residual
        wanted_rows = np.concatenate([scaled_rows - right, *(svec(b) for b in block_right)])
        q = self._normal(wanted_rows, self.state.dual_vector)
        root = self.equality_root
        # The multiplier of the equality makes <e, y + dy> = 1.
        nu = float((root @ q - self.state.equality_residual) / (root @ root))
        y = self.column_scale * solve_triangular(self.triangle, q - root * nu)
        slack = scaled_rows - self.weights * (problem.rows @ y)
        blocks, duals = [], []
        for scaling, where, size, b in zip(
            self.scalings, self.slices, problem.sizes, block_right, strict=True
        ):
            moved = scaling.inverse @ smat(y[where], size) @ scaling.inverse.T
            moved = (moved + moved.T) / 2
            blocks.append(moved)
            duals.append(b - moved)
        return _Direction(y, nu, slack, right - slack, blocks, duals)

    def _normal(self, rows: np.ndarray, vector: Vector) -> Vector:
        """Return R^-T (B^T rows + vector), B = QR, the part of `rows` refined once."""
        inverse = solve_triangular(self.triangle, self.matrix.T @ rows, trans="T")
        rest = rows - self.matrix @ solve_triangular(self.triangle, inverse)
        inverse += solve_triangular(self.triangle, self.matrix.T @ rest, trans="T")
        return inverse + solve_triangular(self.triangle, self.column_scale * vector, trans="T")

    def _lengths(self, direction: _Direction) -> tuple[float, float]:
        """Return the largest primal and dual steps <= 1 that stay in the cones."""
        worst_slack = float(np.max(-direction.slack / self.products))
        worst_dual = float(np.max(-direction.multiplier / self.products))
        for scaling, f, x in zip(self.scalings, direction.blocks, direction.duals, strict=True):
            # D + t S stays positive up to t = -1 / (least eigenvalue of D^(-1/2) S D^(-1/2)).
            root = 1 / np.sqrt(scaling.diagonal)
            worst_slack = max(worst_slack, -np.linalg.eigvalsh(f * root[:, None] * root)[0])
            worst_dual = max(worst_dual, -np.linalg.eigvalsh(x * root[:, None] * root)[0])
        return 1 / max(1.0, worst_slack), 1 / max(1.0, worst_dual)

    def _moved(self, by: _Direction, primal: float, dual: float) -> Iterate:
        at = self.at
        duals = []
        for x, scaling, move in zip(at.duals, self.scalings, by.duals, strict=True):
            following = x + dual * scaling.inverse.T @ move @ scaling.inverse
            duals.append((following + following.T) / 2)
        return Iterate(
            at.y + primal * by.y,
            at.s + primal * by.slack / self.weights,
            at.x + dual * by.multiplier * self.weights,
            duals,
            at.nu + dual * by.nu,
        )
