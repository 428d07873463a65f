"""What `sdp_solver` solves: two-point bounds by sums of squares, three-point bounds by samples."""

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from benchmarks.sdpa import Instance
from pipeline.errors import SolverError
from pipeline.packing import laguerre
from pipeline.packing.balls import Balls, entries, matrix, midpoints, product, to_doubles
from pipeline.packing.conic import doubles as conic
from pipeline.packing.solver import Quadrature
from pipeline.packing.three_point import cutting, radial
from pipeline.packing.three_point.kernel import Kernel

Doubles = NDArray[np.float64]

# Polynomials are eliminated by interpolation at points with little order: it costs bits, no more.
_EXTRA_PRECISION = 4
_OUTER_RATIO = 1.3


def two_point(quadrature: Quadrature, precision_bits: int) -> Instance:
    """Return the two-point program of degree K at the radius z_r = z_0, whose optimum is 1.

    Minimise f(0) subject to f^(0) = 1, Q = s_0 + z s_1 and -P = s_2 + (z - z_r) s_3, P and Q as in
    `two_point.search`, s_i sums of squares of degree K - 1. By the quadrature f(0) >= 1, and the
    function with its roots gives 1. The Gram matrices of s_i are in orthonormal polynomials with
    respect to samples weighted by the size of P or Q there. The K + 1 coefficients of f are
    eliminated, the equations orthonormalised, and everything is rounded to doubles at the end:
    posed thus, the optimum moves by 1e-15.

    Raises:
        SolverError: `precision_bits` do not determine the data.
    """
    dim, degree, z_r = quadrature.dim, quadrature.degree, quadrature.nodes[0]
    basis = radial.basis(dim, degree, precision_bits)
    with ctx.workprec(_EXTRA_PRECISION * precision_bits):
        knots = [arb(float(z)) for z in basis.knots]
        beyond = [z_r, *(z for z in knots if z > z_r)]
        forms, squares = _sampled(
            dim, degree, np.array(knots, dtype=object), basis.transform_size(basis.knots), arb(0)
        )
        ends = np.array([float(z) for z in beyond])
        other_forms, other_squares = _sampled(
            dim, degree, np.array(beyond, dtype=object), basis.function_size(ends), z_r
        )
        signs = np.array([(-1) ** k for k in range(degree + 1)], dtype=object)
        origin = np.array(laguerre.at_zero(degree, arb(dim)), dtype=object)
        # All that is linear in the coefficients, by the Gram matrices of Q.
        linear = np.vstack([other_forms * signs, origin, origin * signs])
        by_squares = product(product(linear, _inverse(forms)), squares)
        zeros = 0 * other_squares[:1]
        equations = np.hstack([by_squares[:-1], np.vstack([other_squares, zeros])])
        rows, norm = _orthonormal_rows(equations)
        costs = np.hstack([by_squares[-1:], zeros])
        right = np.zeros(len(rows))
        right[-1] = float(1 / norm)
        return Instance(to_doubles(rows), right, to_doubles(costs)[0], 0, ((degree + 1) // 2,) * 4)


def three_point(dim: int, degree: int, kernel_degree: int, precision_bits: int) -> conic.Problem:
    """Return the conic problem of the first round of cuts of the three-point bound."""
    basis = radial.basis(dim, degree, precision_bits)
    inner = basis.radius_squared**0.5
    kernel = Kernel(dim, kernel_degree, inner, _OUTER_RATIO * inner)
    bound = cutting.ThreePointProblem(basis, kernel)
    samples = bound.first_samples()
    rows = np.concatenate([bound.rows(name, points) for name, points in samples.items()])
    # The kernel has no size yet, and so no margin.
    margins = {name: 0.0 if name in cutting.SPATIAL else bound.margins.radial for name in samples}
    limits = [np.full(len(points), -margins[name]) for name, points in samples.items()]
    value, transform = bound.objective()
    return conic.Problem(value, transform, rows, np.concatenate(limits), degree + 1, kernel.sizes)


def matrix_inequality(problem: conic.Problem) -> tuple[Instance, float]:
    """Return `problem` with y as dual variables, and its value where <b, y> = 0.

    The value of `problem` is that number minus <b, y>. Rows have size one. The equality is solved
    for its largest entry, which changes the data by rounding.
    """
    size = np.abs(problem.rows).max(axis=1)
    cone = [problem.rows / size[:, None]]
    slices = conic.block_slices(problem.num_free, problem.sizes)
    for where, block in zip(slices, problem.sizes, strict=True):
        units = np.eye(where.stop - where.start)
        entries = np.zeros((block**2, len(problem.objective)))
        entries[:, where] = -np.array([conic.smat(unit, block).ravel() for unit in units]).T
        cone.append(entries)
    rows = np.concatenate(cone)
    limits = np.zeros(len(rows))
    limits[: len(size)] = problem.limits / size
    pivot = int(np.argmax(np.abs(problem.equality)))
    share = problem.equality / problem.equality[pivot]
    kept = np.arange(len(share)) != pivot
    objective = problem.objective - problem.objective[pivot] * share
    instance = Instance(
        (rows - np.outer(rows[:, pivot], share))[:, kept].T,
        -objective[kept],
        limits - rows[:, pivot] / problem.equality[pivot],
        len(size),
        problem.sizes,
    )
    return instance, float(problem.objective[pivot] / problem.equality[pivot])


def _sampled(
    dim: int, degree: int, points: Balls, sizes: Doubles, start: arb
) -> tuple[Balls, Balls]:
    """Return K + 1 samples of the L_k and, in the Gram matrices, of s + (z - start) s', over size.

    The matrices of both sums of squares, row by row, side by side.
    """
    half = (degree + 1) // 2
    weights = np.array([1 / arb(float(size)) for size in sizes], dtype=object)
    bases = [_orthonormal(points, w, half) for w in (weights, weights * (points - start))]
    chosen = np.round(np.linspace(0, len(points) - 1, degree + 1)).astype(int)
    forms = [weights[i] * np.array(_laguerre(degree, dim, points[i])) for i in chosen]
    squares = [np.concatenate([np.outer(b[i], b[i]).ravel() for b in bases]) for i in chosen]
    return np.array(forms, dtype=object), np.array(squares, dtype=object)


def _laguerre(degree: int, dim: int, z: arb) -> list[arb]:
    if z == 0:
        return laguerre.at_zero(degree, arb(dim))
    return laguerre.table(degree, arb(dim), [z])[0][0]


def _orthonormal(points: Balls, weights: Balls, count: int) -> Balls:
    """Return sqrt(weight) p_k(z), a row for each z of `points`, with orthonormal p_k.

    By the three-term recurrence; k < `count`.
    """
    here, before = np.array([w.sqrt() for w in weights], dtype=object), 0 * weights
    columns = []
    for _ in range(count):
        here = midpoints(here / (here @ here).sqrt())
        columns.append(here)
        raised = points * here
        here, before = raised - (raised @ here) * here - (raised @ before) * before, here
    return np.array(columns, dtype=object).T


def _orthonormal_rows(rows: Balls) -> tuple[Balls, arb]:
    """Return the rows made orthonormal from the first on, and the size of what is last made one."""
    done = rows[:0]
    size = arb(0)
    for row in rows:
        rest = row[None]
        for _ in range(2 if len(done) else 0):
            rest = midpoints(rest - product(product(rest, done.T), done))
        size = (rest[0] @ rest[0]).sqrt().mid()
        done = np.vstack([done, midpoints(rest / size)])
    return done, size


def _inverse(square: Balls) -> Balls:
    inverse = entries(matrix(square).inv())
    if not all(entry.rel_accuracy_bits() > 64 for entry in inverse.ravel()):
        raise SolverError(
            f"two-point program with {len(square)} coefficients: expected data to 64 bits, got"
            " fewer; raise precision_bits"
        )
    return inverse
