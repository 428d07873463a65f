"""The conic solver at high precision: against eigenvalues, against doubles, and against itself."""

import json

import numpy as np
import pytest
from flint import acb_mat, arb, ctx
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.certify.verify import verdict
from pipeline.errors import SolverError
from pipeline.packing import balls
from pipeline.packing.conic import arb as conic_arb
from pipeline.packing.conic import doubles as conic
from pipeline.packing.conic.doubles import Problem, smat, svec
from pipeline.packing.three_point import cutting, radial
from pipeline.packing.three_point import search as three_point
from pipeline.packing.three_point.config import ThreePoint
from pipeline.packing.three_point.kernel import Kernel


def least_eigenvalue_problem(size: int, seed: int) -> Problem:
    """min <g, svec X>, trace X = 1, X >= 0, with an inequality that leaves room."""
    objective = np.random.default_rng(seed).normal(size=size * (size + 1) // 2)
    identity = svec(np.eye(size))
    return Problem(objective, identity, identity[None], np.array([2.0]), 0, (size,))


def random_problem(seed: int) -> Problem:
    """Three free unknowns and blocks of sizes 3 and 2, feasible on both sides by construction."""
    rng = np.random.default_rng(seed)
    num_rows, m = 25, 3 + 6 + 3
    rows, equality = rng.normal(size=(num_rows, m)), rng.normal(size=m)
    inside = np.concatenate([rng.normal(size=3), svec(np.eye(3)), svec(np.eye(2))])
    equality /= equality @ inside
    multipliers = np.concatenate([np.zeros(3), svec(np.eye(3)), svec(np.eye(2))])
    objective = multipliers - rows.T @ rng.uniform(0.5, 1, num_rows) + rng.normal() * equality
    limits = rows @ inside + rng.uniform(0.1, 1, num_rows)
    return Problem(objective, equality, rows, limits, 3, (3, 2))


@pytest.fixture(scope="module")
def sampled() -> Problem:
    """A first round of cuts: 727 inequalities, 61 unknowns, nearly dependent samples."""
    basis = radial.basis(4, 19, 320)
    kernel = Kernel(4, 4, basis.radius_squared**0.5, 1.3 * basis.radius_squared**0.5)
    bound = cutting.ThreePointProblem(basis, kernel)
    rows = [bound.rows(name, points) for name, points in bound.first_samples().items()]
    stacked = np.concatenate(rows)
    limits = np.full(len(stacked), -1e-8)
    return Problem(*bound.objective(), stacked, limits, basis.degree + 1, kernel.sizes)


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_the_least_eigenvalue_is_found_to_thirty_digits(size, seed):
    problem = least_eigenvalue_problem(size, seed)
    found = conic_arb.solve(problem, 1e-32, 256)
    assert max(found.gap, found.dual_residual) <= 1e-32
    with ctx.workprec(320):
        matrix = smat(balls.from_doubles(problem.objective), size, arb(2).sqrt())
        values = [value.real.mid() for value in acb_mat(matrix.tolist()).eig()]
        least = values[int(np.argmin([float(value) for value in values]))]
        assert abs(found.value - least) < 1e-30 * (1 + abs(least))


@settings(max_examples=10, deadline=None)
@example(104600391)  # 192 bits end at 4e-25 here
@given(st.integers(0, 2**32 - 1))
def test_random_problems_agree_with_doubles(seed):
    problem = random_problem(seed)
    # 8 bits a digit, and some to spare.
    found, doubles = conic_arb.solve(problem, 1e-25, 256), conic.solve(problem, 1e-11)
    assert max(found.gap, found.dual_residual) <= 1e-25
    assert float(found.value) == pytest.approx(doubles.value, rel=1e-8, abs=1e-8)
    point = found.rounded().point
    assert (problem.rows @ point <= problem.limits + 1e-12).all()
    for where, size in zip(problem.slices, problem.sizes, strict=True):
        assert np.linalg.eigvalsh(smat(point[where], size))[0] > -1e-12


def test_from_the_identity_the_same_is_found(monkeypatch):
    problem = random_problem(7)
    short = conic_arb.solve(problem, 1e-25, 192)
    monkeypatch.setattr(conic, "approach", lambda scaled, _: (conic.start(scaled), 0))
    long = conic_arb.solve(problem, 1e-25, 192)
    assert abs(long.value - short.value) < 1e-24
    assert max(long.gap, long.dual_residual) <= 1e-25


def test_an_infeasible_problem_is_refused():
    # X >= 0 of trace 1 with trace <= 1/2.
    identity = svec(np.eye(3))
    problem = Problem(identity, identity, identity[None], np.array([0.5]), 0, (3,))
    with pytest.raises(SolverError, match="expected a feasible point"):
        conic_arb.solve(problem, 1e-20, 128)


@pytest.mark.slow
def test_more_bits_reach_smaller_gaps(sampled):
    found = [conic_arb.solve(sampled, 1e-30, bits) for bits in (64, 128, 256)]
    reached = [max(each.gap, each.dual_residual) for each in found]
    assert reached[0] < 1e-6 and reached[1] < 1e-14 and reached[2] <= 1e-30
    finest = found[2].value
    for each, error in zip(found[:2], reached[:2], strict=True):
        assert abs(each.value - finest) < 10 * error


def test_a_gap_out_of_reach_is_named(sampled):
    with pytest.raises(SolverError, match="with 64 bits: expected gap .* raise conic_bits"):
        cutting.Precision(64, 1e-20).solve(sampled)


@pytest.mark.slow
def test_a_search_at_high_precision_is_proved_and_agrees_with_doubles(tmp_path):
    doubles = ThreePoint(
        kind="three_point",
        dim=4,
        degree=19,
        kernel_degree=5,
        outer_ratio=1.4,
        margin=1e-5,
        gap=1e-8,
    )
    bounds = []
    for formulation in (doubles, doubles.model_copy(update={"conic_bits": 128})):
        found = three_point.search(formulation, 320)
        path = tmp_path / "candidate.json"
        path.write_text(json.dumps(found.certificate))
        result = verdict(path)
        assert result["status"] == "proved", result["detail"]
        bounds.append(float(result["bound"]))
    assert bounds[1] == pytest.approx(bounds[0], rel=1e-6)
