import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from pipeline.datagen.sample import stream
from pipeline.equations.darcy import solver
from pipeline.equations.darcy.config import Darcy as DarcyConfig
from pipeline.equations.darcy.generator import Darcy
from pipeline.errors import SolverError


def problem(*grid, **more):
    return Darcy(DarcyConfig(kind="darcy", **more), grid)


def draw(darcy, count):
    return np.stack([darcy.sample(stream(4, index)) for index in range(count)])


def direct(a):
    """The 5-point scheme assembled node by node and solved by SuperLU."""
    n1, n2 = a.shape
    number = {
        (i, j): k
        for k, (i, j) in enumerate((i, j) for i in range(1, n1 - 1) for j in range(1, n2 - 1))
    }
    matrix = sp.lil_matrix((len(number), len(number)))
    for (i, j), row in number.items():
        for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            face = (a[i, j] + a[i + di, j + dj]) / 2 * ((n1 - 1) ** 2 if di else (n2 - 1) ** 2)
            matrix[row, row] += face
            if (i + di, j + dj) in number:
                matrix[row, number[i + di, j + dj]] -= face
    u = np.zeros(a.shape)
    u[1:-1, 1:-1] = spsolve(matrix.tocsc(), np.ones(len(number))).reshape(n1 - 2, n2 - 2)
    return u


@pytest.mark.parametrize("grid", [(24, 24), (17, 30)])
def test_solution_equals_the_sparse_direct_one(grid):
    darcy = problem(*grid)
    inputs = draw(darcy, 5)
    found = darcy.solve(inputs)
    for a, u in zip(inputs[:, 0], found[:, 0], strict=True):
        exact = direct(a)
        assert np.abs(u - exact).max() < 1e-9 * exact.max()


def test_manufactured_solution_converges_at_second_order():
    """-div(a grad u) = f for u = sin πx sin 2πy and a smooth a, f by hand."""
    errors = []
    for n in (17, 33, 65, 129):
        x, y = np.meshgrid(*[np.linspace(0, 1, n)] * 2, indexing="ij")
        a = 2 + np.sin(np.pi * x) * np.cos(np.pi * y)
        u = np.sin(np.pi * x) * np.sin(2 * np.pi * y)
        a_x = np.pi * np.cos(np.pi * x) * np.cos(np.pi * y)
        a_y = -np.pi * np.sin(np.pi * x) * np.sin(np.pi * y)
        u_x = np.pi * np.cos(np.pi * x) * np.sin(2 * np.pi * y)
        u_y = 2 * np.pi * np.sin(np.pi * x) * np.cos(2 * np.pi * y)
        f = 5 * np.pi**2 * a * u - a_x * u_x - a_y * u_y
        errors.append(np.abs(solver.solve(a[None], f[None])[0][0] - u).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (np.abs(orders - 2) < 0.1).all(), errors


def test_constant_coefficient_gives_the_published_torsion_maximum():
    """max u = 0.0736713... for -Δu = 1 on the unit square (Timoshenko & Goodier)."""
    coarse, fine = (solver.solve(np.ones((1, n, n)))[0][0, n // 2, n // 2] for n in (65, 129))
    assert (4 * fine - coarse) / 3 == pytest.approx(0.0736713, abs=1e-7)


def test_iterations_do_not_depend_on_the_grid():
    counts = []
    for n in (17, 33, 65, 129):
        inputs = draw(problem(n, n), 3)
        counts.append(solver.solve(inputs[:, 0], tolerance=1e-10)[1])
    # The bound from the contrast 4: 2((√4-1)/(√4+1))^k <= 1e-10/(error-to-residual factor √4).
    assert max(counts) <= 25 and max(counts) - min(counts) <= 4, counts


def test_constant_coefficient_needs_one_iteration():
    assert solver.solve(np.full((2, 20, 33), 7.0))[1] == 1


def test_samples_of_a_batch_do_not_influence_each_other():
    inputs = draw(problem(20, 20), 4)[:, 0]
    mixed = np.concatenate([inputs, np.full((1, 20, 20), 3.0), 1000 ** (inputs[:1] / 12)])
    together = solver.solve(mixed)[0]
    for index in range(len(mixed)):
        np.testing.assert_array_equal(together[index], solver.solve(mixed[index : index + 1])[0][0])


def test_boundary_is_exactly_zero_and_the_interior_positive():
    targets = problem(32, 32).solve(draw(problem(32, 32), 3))
    edges = [targets[..., 0, :], targets[..., -1, :], targets[..., 0], targets[..., -1]]
    assert all((edge == 0).all() for edge in edges)
    assert (targets[..., 1:-1, 1:-1] > 0).all()


def size(residual):
    return np.sqrt((residual**2).mean(axis=(1, 2, 3))).max()


def test_residual_is_within_the_tolerance_and_sees_errors():
    darcy = problem(32, 40, tolerance=1e-8)
    inputs = draw(darcy, 4)
    targets = darcy.solve(inputs)
    assert 1e-12 < size(darcy.residual(inputs, targets)) <= 2e-8
    targets[2, 0, 10, 10] *= 1.001
    assert size(darcy.residual(inputs, targets)) > 1e-3
    assert darcy.residual(inputs, targets).shape == (4, 1, 30, 38)


def test_missing_the_tolerance_is_an_error():
    with pytest.raises(SolverError, match="relative residual of 1e-10, got"):
        solver.solve(draw(problem(32, 32), 2)[:, 0], max_iterations=3)


def test_coefficient_must_be_positive():
    with pytest.raises(SolverError, match="positive coefficient, got -1"):
        solver.solve(np.full((1, 9, 9), -1.0))


def test_field_is_the_stated_cosine_series():
    darcy = problem(12, 9, smoothness=2.5, inverse_length=4.0)
    xi = stream(0, 0).standard_normal((12, 9))
    x, y = np.linspace(0, 1, 12), np.linspace(0, 1, 9)
    field = np.zeros((12, 9))
    for k in range(12):
        for m in range(9):
            if (k, m) == (0, 0):
                continue
            scale = 4.0**1.5 * (np.pi**2 * (k**2 + m**2) + 16.0) ** -1.25
            norm = (2 if k else 1) ** 0.5 * (2 if m else 1) ** 0.5
            wave = np.outer(np.cos(np.pi * k * x), np.cos(np.pi * m * y))
            field += scale * norm * xi[k, m] * wave
    np.testing.assert_allclose(darcy.field(stream(0, 0)), field, atol=1e-12)


def test_input_takes_two_values_half_the_area_each_on_average():
    darcy = problem(32, 32, low=2.0, high=5.0)
    inputs = draw(darcy, 400)
    assert set(np.unique(inputs)) == {2.0, 5.0}
    fraction = (inputs == 5.0).mean(axis=(1, 2, 3))
    # g and -g are equally likely: mean 1/2, within 4 standard errors.
    assert abs(fraction.mean() - 0.5) < 4 * fraction.std() / 20
