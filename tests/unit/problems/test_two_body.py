import numpy as np
import pytest
import torch

from pipeline.problems.base import Terms
from pipeline.problems.inseparable import draw_coefficients
from pipeline.problems.two_body.config import TwoBody
from pipeline.problems.two_body.problem import Problem, _circle, _num_terms
from pipeline.training.pinn.skill import relative_errors

CPU = torch.device("cpu")
EQUATIONS = ("poisson", "allen_cahn", "sine_gordon")


def make(dim, equation="sine_gordon", dtype=torch.float64, **more):
    config = TwoBody(kind="two_body", dim=dim, equation=equation, **more)
    return Problem(config, CPU, dtype)


def dense_laplacian(u, x):
    """The oracle: traces of Hessians by reverse over forward mode, point by point."""
    hessian = torch.func.vmap(torch.func.hessian(lambda y: u(y[None])[0]))(x)
    return hessian.diagonal(dim1=1, dim2=2).sum(1)


@pytest.mark.parametrize("equation", EQUATIONS)
@pytest.mark.parametrize("dim", [2, 3, 7])
def test_source_is_the_operator_applied_to_the_exact_solution(equation, dim):
    problem = make(dim, equation, zero_sum=False)
    x = problem.sample(11, torch.Generator().manual_seed(dim))
    u = problem.exact(x)
    expected = {
        "poisson": torch.zeros_like(u),
        "allen_cahn": u - u**3,
        "sine_gordon": torch.sin(u),
    }[equation] + dense_laplacian(problem.exact, x)
    torch.testing.assert_close(problem.source(x), expected, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("equation", EQUATIONS)
def test_residual_vanishes_for_the_exact_solution_only(equation):
    problem = make(5, equation)
    x = problem.sample(9, torch.Generator().manual_seed(0))
    u, laplacian, source = problem.exact(x), dense_laplacian(problem.exact, x), problem.source(x)
    assert problem.residual(x, Terms(u, laplacian), source).abs().max() < 1e-11
    off = problem.residual(x, Terms(u, laplacian + 1.0), source)
    torch.testing.assert_close(off, torch.ones_like(off))


def test_float32_source_agrees_with_float64_at_high_dimension():
    single, double = make(1000, dtype=torch.float32), make(1000)
    x = double.sample(50, torch.Generator().manual_seed(0))
    error = (single.source(x.float()) - double.source(x)) / double.residual_scale
    # Rounding of the dot products with c, which dominate: eps times the sum of |c_i|.
    assert error.abs().max() < torch.finfo(torch.float32).eps * np.abs(double.coefficients).sum()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_series_of_sine_and_cosine_are_exact_to_rounding(dtype):
    eps, used = torch.finfo(dtype).eps, set()
    for most in torch.logspace(-4, 0, 60).tolist():
        used.add(_num_terms(most, eps))
        x = torch.linspace(-most, most, 2001).to(dtype)
        exact = x.double()
        # cos x - 1 = -2 sin² x/2, without cancellation.
        expected = -2.0 * (0.5 * exact).sin().square(), exact.sin()
        for found, value in zip(_circle(x, most), expected, strict=True):
            # The last term left out, and rounding of the sum and of each product.
            assert ((found.double() - value).abs() <= 4 * eps * value.abs()).all()
    assert {2, 3, 4, None} <= used


def test_source_takes_large_coordinates_too():
    single, double = make(1000, dtype=torch.float32), make(1000)
    x = double.sample(4, torch.Generator().manual_seed(0))
    x[0, 7], x[1, 998], x[2, 0] = 0.9, -0.8, 0.3
    error = (single.source(x.float()) - double.source(x)) / double.residual_scale
    assert error.abs().max() < torch.finfo(torch.float32).eps * np.abs(double.coefficients).sum()


def test_coefficients_follow_the_published_seed():
    config = TwoBody(kind="two_body", dim=1000, coefficient_seed=7, zero_sum=False)
    c = draw_coefficients(config, 999)
    assert c.shape == (999,) and c.dtype == np.float64
    expected = np.random.Generator(np.random.PCG64(7)).standard_normal(999)
    np.testing.assert_array_equal(c, expected)
    centred = draw_coefficients(config.model_copy(update={"zero_sum": True}), 999)
    assert abs(centred.sum()) < 1e-11
    np.testing.assert_allclose(centred, expected - expected.mean(), rtol=0, atol=1e-15)


def test_solution_and_factor_vanish_on_the_sphere():
    problem = make(6)
    x = problem.sample(20, torch.Generator().manual_seed(0))
    x = x / x.norm(dim=1, keepdim=True)
    assert problem.factor(x).abs().max() < 1e-14
    assert problem.exact(x).abs().max() < 1e-13


def test_points_have_uniform_radius_and_centred_direction():
    problem = make(30)
    x = problem.sample(20_000, torch.Generator().manual_seed(0))
    radius = x.norm(dim=1).sort().values
    uniform = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    # Kolmogorov–Smirnov distance; 1.95/sqrt(n) is its 0.1% quantile.
    assert (radius - uniform).abs().max() < 1.95 / 20_000**0.5
    direction = x / x.norm(dim=1, keepdim=True)
    covariance = direction.T @ direction / 20_000 * 30
    assert (covariance - torch.eye(30, dtype=torch.float64)).abs().max() < 0.06


def trivial_errors(dim, num_draws, num_points):
    """Return the best constant's error for plain draws of c, and its leading-order value."""
    found, expected = [], []
    for seed in range(num_draws):
        problem = make(dim, dtype=torch.float32, zero_sum=False, coefficient_seed=seed)
        x = problem.sample(num_points, torch.Generator().manual_seed(seed))
        u, q = problem.exact(x), problem.factor(x)
        found.append(relative_errors([(u, u, 0 * q, q)]).trivial)
        # To first order u = q (sin 1 Σc + cos 1 a·x), a_i = c_i + c_{i-1}; and for uniform radius
        # E r²q² / E q² = 1/7.
        c = np.pad(problem.coefficients, 1)
        slope = np.cos(1) * np.linalg.norm(c[1:] + c[:-1]) / np.sqrt(7 * dim)
        expected.append(slope / np.hypot(slope, np.sin(1) * c.sum()))
    return np.array(found), np.array(expected)


def test_error_of_the_best_constant_follows_its_leading_order():
    found, expected = trivial_errors(1000, 15, 3000)
    # Next order: quadratic terms (relative 1/√d = 3%) and 3000 points (relative 2%).
    np.testing.assert_allclose(found, expected, rtol=0.08)


@pytest.mark.parametrize(("dim", "published"), [(100, 5.1e-2), (1000, 8.3e-3)])
def test_plain_benchmark_is_nearly_degenerate(dim, published):
    """The published median lies well inside the spread over draws of c."""
    low, high = np.quantile(trivial_errors(dim, 41, 300)[0], [0.1, 0.9])
    assert low < published < high


def test_zero_sum_leaves_the_best_constant_with_nothing():
    problem = make(1000, dtype=torch.float32)
    x = problem.sample(2000, torch.Generator().manual_seed(0))
    u, q = problem.exact(x), problem.factor(x)
    assert relative_errors([(u, u, 0 * q, q)]).trivial > 0.99


def test_relative_errors_are_those_of_a_least_squares_fit_over_all_chunks():
    generator = torch.Generator().manual_seed(3)
    fields = [torch.rand(40, generator=generator, dtype=torch.float64) for _ in range(4)]
    chunks = [tuple(field[i : i + 15] for field in fields) for i in range(0, 40, 15)]
    found = relative_errors(chunks)
    u, v, a, q = fields
    c = np.linalg.lstsq(q.numpy()[:, None], (u - a).numpy(), rcond=None)[0][0]
    assert found.trivial == pytest.approx(float((a + c * q - u).norm() / u.norm()), rel=1e-12)
    assert found.model == pytest.approx(float((v - u).norm() / u.norm()), rel=1e-12)
    assert found.skill == pytest.approx(found.trivial / found.model, rel=1e-12)
    # The best constant itself has skill one, by definition.
    assert relative_errors([(u, a + c * q, a, q)]).skill == pytest.approx(1.0, rel=1e-9)
    # Without b the trivial predictor is a.
    alone = relative_errors([(u, v, a, 0 * q)])
    assert alone.trivial == pytest.approx(float((a - u).norm() / u.norm()), rel=1e-12)
