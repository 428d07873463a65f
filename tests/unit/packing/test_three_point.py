"""The three-point search: functions against definitions, certificates against the verifier."""

import json

import numpy as np
import pytest
from flint import arb, ctx
from scipy.special import eval_chebyt, eval_gegenbauer

from pipeline.certify.verify import verdict
from pipeline.packing import known, laguerre
from pipeline.packing.three_point import cutting, maxima, radial, refute
from pipeline.packing.three_point import search as three_point
from pipeline.packing.three_point.config import ThreePoint
from pipeline.packing.three_point.kernel import Kernel

BITS = 320
SMALL = ThreePoint(
    kind="three_point", dim=4, degree=19, kernel_degree=6, outer_ratio=1.4, margin=1e-5
)


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return Kernel(dim=5, degree=4, inner=3.0, outer=4.2)


def positive_blocks(kernel, seed):
    rng = np.random.default_rng(seed)
    roots = [rng.normal(size=(k, k)) for k in kernel.sizes]
    return [root @ root.T for root in roots]


def points_of_shell(kernel, count, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, kernel.dim))
    radii = rng.uniform(kernel.inner, kernel.outer, count)
    return x / np.linalg.norm(x, axis=1)[:, None] * radii[:, None]


def gram(kernel, blocks, x):
    """Return f_3 at all pairs of the origin and `x`, from the definition."""
    u = (x**2).sum(axis=1)
    low, high = kernel.inner**2, kernel.outer**2
    xi = (2 * u - low - high) / (high - low)
    chebyshev = np.array([eval_chebyt(i, xi) for i in range(kernel.degree + 1)])
    order = kernel.dim / 2 - 1
    cosines = np.clip(x @ x.T / np.sqrt(np.outer(u, u)), -1, 1)
    result = np.zeros((len(x) + 1, len(x) + 1))
    for index, block in enumerate(blocks):
        inner = block[1:, 1:] if index == 0 else block
        basis = chebyshev[: len(inner)]
        angular = eval_gegenbauer(index, order, cosines) / eval_gegenbauer(index, order, 1.0)
        scale = (np.outer(u, u) / high**2) ** (index / 2)
        result[1:, 1:] += basis.T @ inner @ basis * angular * scale
    result[0, 0] = blocks[0][0, 0]
    result[0, 1:] = result[1:, 0] = blocks[0][0, 1:] @ chebyshev
    return result


def test_the_kernel_has_the_values_of_its_definition(kernel):
    x, blocks = points_of_shell(kernel, 12, 0), positive_blocks(kernel, 1)
    inner = x @ x.T
    i, j = np.triu_indices(len(x))
    u = np.diag(inner)
    values = kernel.values(blocks, u[i], u[j], inner[i, j])
    np.testing.assert_allclose(values, gram(kernel, blocks, x)[1:, 1:][i, j], rtol=1e-11)


def test_rows_of_the_kernel_are_its_values(kernel):
    unknowns = np.random.default_rng(2).normal(size=kernel.num_unknowns)
    blocks, x = kernel.blocks(unknowns), points_of_shell(kernel, 9, 3)
    inner = x @ x.T
    u = np.diag(inner)
    table = gram(kernel, blocks, x)
    size = np.abs(table).max()
    for i in range(len(x)):
        row = kernel.rows(u, np.full(len(u), u[i]), inner[i]) @ unknowns
        np.testing.assert_allclose(row, table[1 + i, 1:], atol=1e-12 * size)
    np.testing.assert_allclose(kernel.origin_rows(u) @ unknowns, table[0, 1:], atol=1e-12 * size)


@pytest.mark.parametrize("seed", range(5))
def test_semidefinite_blocks_make_a_positive_definite_kernel(kernel, seed):
    table = gram(kernel, positive_blocks(kernel, seed), points_of_shell(kernel, 60, seed + 100))
    eigenvalues = np.linalg.eigvalsh(table)
    assert eigenvalues[0] > -1e-12 * eigenvalues[-1]


def test_coordinates_of_f2_are_those_of_its_laguerre_expansion():
    basis = radial.basis(4, 19, BITS)
    y = np.random.default_rng(4).normal(size=20)
    z = np.array([3.0, 20.0, 55.0])
    with ctx.workprec(BITS):
        function = laguerre.Expansion(4, tuple(basis.coefficients(y)))
        values = [float(function.function(arb(t))) for t in z]
        transforms = [float(function.transform(arb(t))) for t in z]
        origin = [float(f(arb(0))) for f in (function.function, function.transform)]
    np.testing.assert_allclose(basis.function_rows(z) @ y * basis.function_size(z), values)
    np.testing.assert_allclose(basis.transform_rows(z) @ y * basis.transform_size(z), transforms)
    np.testing.assert_allclose([row @ y for row in basis.at_zero()], origin)


def test_the_cube_covers_triangles_and_far_pairs(kernel):
    problem = cutting.ThreePointProblem(radial.basis(5, 11, BITS), kernel)
    cube = np.random.default_rng(5).uniform(size=(400, 3))
    low, high = kernel.inner**2, kernel.outer**2
    for u, v, w in problem.arguments("triangles", cube):
        assert (w**2 <= u * v).all()
        assert ((u + v - 2 * w >= low - 1e-9) & (u + v - 2 * w <= high + 1e-9)).all()
    ((u, v, w),) = problem.arguments("far", cube)
    assert (u + v - 2 * w >= high - 1e-9).all()
    assert (w**2 <= u * v + 1e-9).all()
    # The face theta = 1 is where x and y point in opposite directions.
    ((u, v, w),) = problem.arguments("far", np.column_stack([cube[:, :2], np.ones(len(cube))]))
    np.testing.assert_allclose(w, -np.sqrt(u * v))


@pytest.mark.slow
def test_a_small_search_is_proved_and_below_the_two_point_bound(tmp_path):
    found = three_point.search(SMALL, BITS)
    assert not found.failed
    path = tmp_path / "candidate.json"
    path.write_text(json.dumps(found.certificate))
    result = verdict(path)
    assert result["status"] == "proved", result["detail"]
    assert float(result["bound"]) == pytest.approx(float(found.evaluations[0].bound), rel=1e-15)
    # Sampled optima lie below the truth; what is proved cannot.
    packing = known.packing(4)
    assert packing and packing.as_float < float(result["bound"])
    assert float(result["bound"]) < known.two_point_bound(4).as_float - 0.003


def test_what_the_grids_miss_the_verifier_finds(tmp_path, monkeypatch):
    """A search that never sees the worst violation hands over a proved certificate all the same."""
    in_cube, refutation, found_by = maxima.in_cube, refute.refutation, []

    def blind(*arguments):
        at, values = in_cube(*arguments)
        seen = values < values.max(initial=0.0)
        return at[seen], values[seen]

    def listened(certificate):
        found_by.append(refutation(certificate))
        return found_by[-1]

    monkeypatch.setattr(maxima, "in_cube", blind)
    monkeypatch.setattr(refute, "refutation", listened)
    states = []
    found = three_point.search(SMALL, BITS, reached=states.append)
    assert len(found_by) > 1 and found_by[-1] is None
    path = tmp_path / "candidate.json"
    path.write_text(json.dumps(found.certificate))
    assert verdict(path)["status"] == "proved"
    # After a kill the search goes on from such a cut, too.
    after = next(s for s in states if "verifier" in s["report"])
    resumed = three_point.search(SMALL, BITS, resume=json.loads(json.dumps(after)))
    assert resumed.certificate == found.certificate


@pytest.mark.slow
def test_what_is_proved_is_not_below_the_exact_density(tmp_path):
    found = three_point.search(SMALL.model_copy(update={"dim": 3, "outer_ratio": 1.3}), BITS)
    path = tmp_path / "candidate.json"
    path.write_text(json.dumps(found.certificate))
    result = verdict(path)
    assert result["status"] == "proved", result["detail"]
    exact, two_points = known.upper_bound(3).as_float, known.two_point_bound(3).as_float
    assert exact < float(result["bound"]) < two_points


def test_a_kernel_of_too_low_a_degree_is_named():
    found = three_point.search(SMALL.model_copy(update={"kernel_degree": 3}), BITS)
    (failure,) = found.failed
    assert found.certificate is None
    assert failure.reason.endswith(
        "expected a kernel that lowers the bound, got 0; raise its degree"
    )


@pytest.mark.slow
def test_an_interrupted_search_ends_with_the_same_certificate():
    states = []
    whole = three_point.search(SMALL, BITS, reached=states.append)
    middle = json.loads(json.dumps(states[len(states) // 2]))
    assert three_point.progress(middle).startswith("round ")
    after = []
    resumed = three_point.search(SMALL, BITS, resume=middle, reached=after.append)
    assert resumed.certificate == whole.certificate
    assert len(after) == len(states) - len(states) // 2 - 1
