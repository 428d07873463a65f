"""The conic solver against closed forms and another solver."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from pipeline.errors import SolverError
from pipeline.packing.conic.doubles import Problem, block_slices, smat, solve, svec


def problem(objective, equality, rows, limits, num_free, sizes) -> Problem:
    return Problem(
        np.asarray(objective, float),
        np.asarray(equality, float),
        np.asarray(rows, float),
        np.asarray(limits, float),
        num_free,
        tuple(sizes),
    )


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_svec_keeps_inner_products(size, seed):
    rng = np.random.default_rng(seed)
    a, b = (m + m.T for m in rng.normal(size=(2, size, size)))
    assert svec(a) @ svec(b) == pytest.approx((a * b).sum(), abs=1e-12)
    np.testing.assert_allclose(smat(svec(a), size), a, atol=1e-15)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_the_least_eigenvalue_is_found(size, seed):
    # min <C, X>, trace X = 1, X >= 0.
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(size, size))
    matrix += matrix.T
    identity = svec(np.eye(size))
    found = solve(problem(svec(matrix), identity, [identity], [2.0], 0, [size]), 1e-12)
    assert found.value == pytest.approx(np.linalg.eigvalsh(matrix)[0], abs=1e-9)


def test_the_theta_number_of_the_pentagon():
    # max <J, X>, trace X = 1, X_ij <= 0 on edges, X >= 0: the square root of 5 (Lovasz).
    edges = []
    for i in range(5):
        edge = np.zeros((5, 5))
        edge[i, (i + 1) % 5] = edge[(i + 1) % 5, i] = 1
        edges.append(svec(edge))
    ones, identity = svec(np.ones((5, 5))), svec(np.eye(5))
    found = solve(problem(-ones, identity, edges, np.zeros(5), 0, [5]), 1e-13)
    assert -found.value == pytest.approx(5**0.5, rel=1e-11)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.integers(8, 30), st.integers(0, 2**32 - 1))
def test_linear_programs_agree_with_another_solver(num_unknowns, num_rows, seed):
    # Free unknowns in a bounded polytope around a point of the hyperplane; one idle block.
    rng = np.random.default_rng(seed)
    box = np.vstack([np.eye(num_unknowns), -np.eye(num_unknowns)])
    rows = np.vstack([rng.normal(size=(num_rows, num_unknowns)), box])
    equality = rng.normal(size=num_unknowns)
    inside = equality / (equality @ equality)
    limits = rows @ inside + rng.uniform(0.1, 1, len(rows))
    objective = rng.normal(size=num_unknowns)
    peer = linprog(objective, rows, limits, equality[None], [1.0], bounds=(None, None))
    # The block, of size one, is bounded above and costs nothing.
    padded = np.hstack([rows, np.zeros((len(rows), 1))])
    idle = np.append(np.zeros(num_unknowns), 1.0)
    found = solve(
        problem(
            np.append(objective, 0.0),
            np.append(equality, 0.0),
            np.vstack([padded, idle]),
            np.append(limits, 1.0),
            num_unknowns,
            [1],
        ),
        1e-11,
    )
    assert found.value == pytest.approx(peer.fun, rel=1e-7, abs=1e-7)
    assert (rows @ found.point[:-1] <= limits + 1e-8).all()


def test_an_infeasible_problem_is_refused():
    # X >= 0 of trace 1 with trace <= 1/2.
    identity = svec(np.eye(3))
    with pytest.raises(SolverError, match="expected a feasible point"):
        solve(problem(identity, identity, [identity], [0.5], 0, [3]), 1e-9)


def test_blocks_lie_one_after_the_other():
    assert block_slices(2, [3, 1]) == [slice(2, 8), slice(8, 9)]
