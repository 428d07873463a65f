"""One step of an interior point method in midpoint arithmetic: the problem of `conic`, in `arb`.

The direction of Helmberg, Kojima and Monteiro with Mehrotra's corrector. With s = b - A y, blocks
F, multipliers x and X, and a target t for their products, it has

    ds = -A dy,  dx = t / s - x - (x / s) ds,    dF = smat dy,  dX = t F^-1 - X - sym(X dF F^-1)

up to residuals and terms of second order; with the dual equation g + A^T x - svec X + nu e = 0 and
<e, y> = 1 that leaves

    M dy + e dnu = ...,    M = A^T diag(x / s) A + (svec dF -> svec sym(X dF F^-1)).

Forming M squares the condition number: more bits make up for that, and `doubles` avoids it. The
inverse of M serves predictor, corrector and refinements. Cost of a step: N m^2 and m^3 operations.
Reference: Todd, Toh, Tuetuencue, SIAM J. Optim. 8 (1998), section 3.
"""

from dataclasses import dataclass

import numpy as np
from flint import arb, arb_mat

from pipeline.packing.balls import (
    Balls,
    cholesky,
    dot,
    entries,
    from_doubles,
    matrix,
    midpoints,
    product,
    times,
    to_doubles,
)
from pipeline.packing.conic import doubles as conic

Blocks = list[Balls]

# Rows of A that are converted at a time: all of them would fill the memory on large problems.
_CHUNK = 512
_MAX_REFINEMENTS = 8


class Program:
    """The data of a problem, exactly."""

    def __init__(self, problem: conic.Problem) -> None:
        self.problem, self.sizes, self.slices = problem, problem.sizes, problem.slices
        self.rows = arb_mat(problem.rows.tolist())
        self.columns = self.rows.transpose()
        self.objective = from_doubles(problem.objective)
        self.equality = from_doubles(problem.equality)
        self.limits = from_doubles(problem.limits)
        self.root = arb(2).sqrt().mid()

    def svec(self, block: Balls) -> Balls:
        """Return `conic.svec` to the working precision."""
        return midpoints(conic.svec(block, self.root))

    def blocks(self, y: Balls) -> Blocks:
        """Return the matrices F_l in y."""
        parts = zip(self.slices, self.sizes, strict=True)
        return [midpoints(conic.smat(y[q], k, self.root)) for q, k in parts]

    def weighted(self, weights: Balls) -> Balls:
        """Return A^T diag(weights) A."""
        rows, m = self.problem.rows, len(self.objective)
        total = arb_mat(m, m)
        # Sorted by weight: flint multiplies numbers of similar size faster.
        order = np.argsort(to_doubles(weights))
        for first in range(0, len(order), _CHUNK):
            chosen = order[first : first + _CHUNK]
            part = rows[chosen]
            pairs = zip(weights[chosen], part.tolist(), strict=True)
            scaled = arb_mat([[weight * entry for entry in row] for weight, row in pairs]).mid()
            total = (total + arb_mat(part.T.tolist()) * scaled).mid()
        return entries(total)

    def operator(self, dual: Balls, inverse: Balls) -> Balls:
        """Return the matrix of svec S -> svec sym(X S F^-1), given X and F^-1."""
        i, j = np.triu_indices(len(dual))
        scale = np.where(i == j, arb(0.5), 1 / self.root)
        total = dual[np.ix_(i, i)] * inverse[np.ix_(j, j)]
        for a, b, c, d in ((i, j, j, i), (j, i, i, j), (j, j, i, i)):
            total = total + dual[np.ix_(a, b)] * inverse[np.ix_(c, d)]
        return midpoints(total * scale[:, None] * scale)


@dataclass(frozen=True)
class Iterate:
    """As `conic.Iterate`."""

    y: Balls
    s: Balls
    x: Balls
    duals: Blocks
    nu: arb

    @staticmethod
    def of(at: conic.Iterate) -> "Iterate":
        """Return an iterate of `conic` as it is."""
        y, s, x, *duals = map(from_doubles, (at.y, at.s, at.x, *at.duals))
        return Iterate(y, s, x, duals, arb(at.nu))


class State:
    """An iterate with its blocks F, its residuals, and how far it is from a solution."""

    def __init__(self, program: Program, at: Iterate) -> None:
        self.at, self.blocks = at, program.blocks(at.y)
        self.row_residual = midpoints(program.limits - times(program.rows, at.y) - at.s)
        self.equality_residual = (1 - dot(program.equality, at.y)).mid()
        dual = times(program.columns, at.x) + program.objective + program.equality * at.nu
        for where, block in zip(program.slices, at.duals, strict=True):
            dual[where] = dual[where] - program.svec(block)
        self.dual_vector = midpoints(-dual)
        pairs = [(at.x, at.s), *zip(at.duals, self.blocks, strict=True)]
        self.complementarity = sum((dot(*pair) for pair in pairs), arb(0)).mid()
        self.degree = len(at.s) + sum(program.sizes)
        self.primal = dot(program.objective, at.y)
        self.gap = float(self.complementarity / abs(self.primal))
        self.primal_residual = max(_size(self.row_residual), abs(float(self.equality_residual)))
        multipliers = 1 + max(map(_size, (at.x, *at.duals)))
        self.dual_residual = _size(self.dual_vector) / multipliers
        self.error = max(self.gap, self.primal_residual, self.dual_residual)


def _size(numbers: Balls) -> float:
    return float(np.abs(to_doubles(numbers)).max())


@dataclass(frozen=True)
class _Direction:
    y: Balls
    s: Balls
    x: Balls
    blocks: Blocks
    duals: Blocks
    nu: arb


class Newton:
    """The factored Newton equations at one iterate."""

    def __init__(self, program: Program, state: State) -> None:
        self.program, self.state, self.at = program, state, state.at
        self.weights = midpoints(self.at.x / self.at.s)
        # Inverses of the triangular factors of F and X, and of F.
        self.roots = [entries(cholesky(matrix(f)).inv().mid()) for f in state.blocks]
        self.dual_roots = [entries(cholesky(matrix(x)).inv().mid()) for x in self.at.duals]
        self.inverses = [midpoints(product(root.T, root)) for root in self.roots]
        normal = program.weighted(self.weights)
        for q, x, inverse in zip(program.slices, self.at.duals, self.inverses, strict=True):
            normal[q, q] = normal[q, q] + program.operator(x, inverse)
        self.normal = matrix(normal).mid()
        identity = arb_mat(np.eye(len(normal)).tolist())
        # One inverse serves all right sides; `_solved` refines what an approximate one misses.
        self.inverse = self.normal.solve(identity, algorithm="approx").mid()
        self.equality = self._solved(program.equality)

    def step(self) -> Iterate:
        """Return the next iterate: predictor, corrector, line search."""
        state, at = self.state, self.at
        affine = self._direction(arb(0), None)
        primal, dual = map(arb, self._lengths(affine))
        reached = dot(at.s + primal * affine.s, at.x + dual * affine.x)
        for f, df, x, dx in zip(state.blocks, affine.blocks, at.duals, affine.duals, strict=True):
            reached += dot(f + primal * df, x + dual * dx)
        # As in `doubles`, whose comments give the reasons.
        centring = float(reached / state.complementarity) ** 3
        if min(primal, dual) < 0.1:
            centring = max(centring, 0.3)
        centring = min(1.0, max(centring, 1e-6))
        direction = self._direction(centring * state.complementarity / state.degree, affine)
        lengths = self._lengths(direction)
        # At the end of the path steps are as good as whole.
        share = 0.9 if min(lengths) < 0.5 else max(0.97, 1 - centring**0.5)
        primal, dual = (arb(min(1.0, share * length)) for length in lengths)
        return Iterate(
            midpoints(at.y + primal * direction.y),
            midpoints(at.s + primal * direction.s),
            midpoints(at.x + dual * direction.x),
            [midpoints(x + dual * dx) for x, dx in zip(at.duals, direction.duals, strict=True)],
            (at.nu + dual * direction.nu).mid(),
        )

    def _direction(self, target: arb, affine: _Direction | None) -> _Direction:
        """Return the step to products of `target`, with the second-order term of `affine`."""
        program, state, at = self.program, self.state, self.at
        wanted = target - at.x * at.s
        if affine:
            wanted = wanted - affine.x * affine.s
        wanted = midpoints(wanted / at.s)
        right = state.dual_vector - times(
            program.columns, midpoints(wanted - self.weights * state.row_residual)
        )
        wanted_duals = []
        for index, (q, inverse) in enumerate(zip(program.slices, self.inverses, strict=True)):
            block = target * inverse - at.duals[index]
            if affine:
                block = block - _sandwich(affine.duals[index], affine.blocks[index], inverse)
            wanted_duals.append(block)
            right[q] = right[q] + program.svec(block)
        z = self._solved(midpoints(right))
        # The multiplier of the equality makes <e, y + dy> = 1.
        nu = dot(program.equality, z) - state.equality_residual
        nu = (nu / dot(program.equality, self.equality)).mid()
        y = midpoints(z - nu * self.equality)
        s = midpoints(state.row_residual - times(program.rows, y))
        blocks = program.blocks(y)
        duals = [
            midpoints(block - _sandwich(x, f, inverse))
            for block, x, f, inverse in zip(
                wanted_duals, at.duals, blocks, self.inverses, strict=True
            )
        ]
        return _Direction(y, s, midpoints(wanted - self.weights * s), blocks, duals, nu)

    def _solved(self, right: Balls) -> Balls:
        """Return M^-1 `right`, refined until that brings nothing more."""
        found, rest, size = times(self.inverse, right), right, np.inf
        for _ in range(_MAX_REFINEMENTS):
            rest = midpoints(right - times(self.normal, found))
            # Slower than that, rounding is what is left.
            if not _size(rest) < size / 4:
                break
            size = _size(rest)
            found = midpoints(found + times(self.inverse, rest))
        return found

    def _lengths(self, direction: _Direction) -> tuple[float, float]:
        """Return the largest primal and dual steps <= 1 that stay in the cones, to doubles."""
        at = self.at
        primal = max(1.0, to_doubles(-direction.s / at.s).max())
        dual = max(1.0, to_doubles(-direction.x / at.x).max())
        for root, f in zip(self.roots, direction.blocks, strict=True):
            primal = max(primal, -_least_eigenvalue(root, f))
        for root, x in zip(self.dual_roots, direction.duals, strict=True):
            dual = max(dual, -_least_eigenvalue(root, x))
        return 1 / primal, 1 / dual


def _sandwich(left: Balls, middle: Balls, right: Balls) -> Balls:
    """Return the symmetric part of a product of symmetric matrices."""
    found = product(midpoints(product(left, middle)), right)
    return midpoints((found + found.T) / 2)


def _least_eigenvalue(root: Balls, block: Balls) -> float:
    """Return that of L^-1 S L^-T, given L^-1 and S."""
    found = to_doubles(product(midpoints(product(root, block)), root.T))
    return float(np.linalg.eigvalsh((found + found.T) / 2)[0])
