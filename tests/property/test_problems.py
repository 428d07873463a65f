"""Every problem against dense derivatives: its exact solution, its ansatz, its references."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats
from torch import nn

from pipeline.calculus.directions import Axes, Dense
from pipeline.calculus.functions import Expression, Radial
from pipeline.kinds import implementation, kinds_of
from pipeline.problems.base import Terms
from pipeline.problems.hjb import cole_hopf
from pipeline.problems.parabolic import problem as parabolic
from pipeline.problems.parabolic.config import Parabolic as ParabolicConfig
from pipeline.problems.parabolic.problem import Problem as Parabolic
from pipeline.problems.union import AnyProblem

CPU = torch.device("cpu")
KINDS = kinds_of(AnyProblem)
EXACT = [
    *[(kind, {"equation": e, "zero_sum": z})
      for kind in ("two_body", "three_body")
      for e in ("poisson", "allen_cahn", "sine_gordon")
      for z in (True, False)],
    ("hjb", {"equation": "lin"}),
    ("black_scholes_barenblatt", {}),
    ("black_scholes_barenblatt", {"correlation": 0.3}),
]  # fmt: skip
OTHERS = [
    *[("parabolic", {"equation": e}) for e in ("heat", "allen_cahn", "sine_gordon")],
    ("hjb", {"equation": "lqg"}),
    ("hjb", {"equation": "rosenbrock"}),
]
# The exact solution of every kind that is not named above, new ones too.
EXACT += [(kind, {}) for kind in KINDS if kind not in dict([*EXACT, *OTHERS])]
seeds = st.integers(0, 2**32 - 1)


def make(kind, dim, dtype=torch.float64, **more):
    config = KINDS[kind](kind=kind, dim=10 if kind == "parabolic" else dim, **more)
    return implementation(config).Problem(config, CPU, dtype)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def dense_terms(problem, u, x):
    """The oracle: all terms of the operator from dense gradients and Hessians, by definition."""
    operator, d = problem.operator, problem.operator.dim
    single = lambda y: u(y[None])[0]  # noqa: E731
    gradient = torch.func.vmap(torch.func.grad(single))(x)
    hessian = torch.func.vmap(torch.func.hessian(single))(x)[:, :d, :d]
    second = hessian.diagonal(dim1=1, dim2=2)
    if operator.mixed_roots is not None:
        roots = operator.mixed_roots(x, torch.arange(operator.num_mixed))
        second = ((roots.transpose(1, 2) @ roots) * hessian).sum(2)
    if operator.root_weights is not None:
        second = operator.root_weights(x, torch.arange(d)) ** 2 * second
    drift = None
    if operator.drift is not None:
        vectors = operator.drift(x).vectors(x).expand(len(x), -1, -1)[:, 0]
        drift = (vectors * gradient).sum(1)
    slopes = None
    if operator.gradient_power is not None:
        slopes = (gradient[:, :d].abs() ** operator.gradient_power).sum(1)
    return Terms(u(x), second.sum(1), drift, slopes)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(EXACT), st.integers(4, 7), seeds)
def test_the_exact_solution_has_no_residual(case, dim, seed):
    kind, more = case
    if "coefficient_seed" in KINDS[kind].model_fields and kind != "hjb":
        more = more | {"coefficient_seed": seed}
    problem = make(kind, dim, **more)
    x = problem.sample(4, generator(seed))
    solution = lambda y: problem.reference(y).value  # noqa: E731
    residual = problem.residual(x, dense_terms(problem, solution, x), problem.source(x))
    assert residual.abs().max() < 1e-9 * problem.residual_scale


class Small(nn.Module):
    """A smooth network of order one."""

    def __init__(self, num_inputs, seed):
        super().__init__()
        drawn = torch.randn(num_inputs, generator=generator(seed), dtype=torch.float64)
        self.weights = nn.Parameter(drawn / math.sqrt(num_inputs))

    def forward(self, x):
        return torch.sin(x @ self.weights + 0.3)[:, None]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(EXACT + OTHERS), st.integers(4, 7), seeds)
def test_known_parts_of_the_ansatz_have_their_stated_derivatives(case, dim, seed):
    kind, more = case
    problem = make(kind, dim, **more)
    x = problem.sample(4, generator(seed))
    trial = problem.trial(Small(problem.num_inputs, seed))
    axes = torch.randperm(problem.operator.dim, generator=generator(seed))[:3]
    weights = torch.rand(4, 3, generator=generator(seed), dtype=torch.float64)
    drift = torch.randn(4, 1, problem.num_inputs, generator=generator(seed), dtype=torch.float64)
    for known in (trial.offset, trial.factor):
        if known is None:
            continue
        for directions in (Axes(axes), Axes(axes, weights)):
            found, expected = known.jet(x, directions), Expression(known).jet(x, directions)
            for mine, theirs in zip(found, expected, strict=True):
                torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(
            known.slopes(x, Dense(drift)),
            Expression(known).slopes(x, Dense(drift)),
            rtol=1e-9,
            atol=1e-9,
        )


def prescribed(problem, kind, x):
    """Return points where u is prescribed, made from points of the domain."""
    x = x.clone()
    if kind in ("two_body", "three_body", "schroedinger"):
        return problem.radius * x / x.norm(dim=1, keepdim=True)
    x[:, -1] = 1.0 - problem.shown_time if kind != "parabolic" else 0.0
    return x


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(EXACT + OTHERS), st.integers(4, 7), seeds)
def test_the_conditions_hold_for_every_network(case, dim, seed):
    kind, more = case
    problem = make(kind, dim, **more)
    x = prescribed(problem, kind, problem.sample(5, generator(seed)))
    u = problem.trial(Small(problem.num_inputs, seed))(x)
    if kind == "parabolic":
        space = x[:, :-1]
        radial = 5.0 / (10.0 + 2.0 * space.square().sum(1))
        expected = space.amax(1).atan() if problem.equation == "allen_cahn" else radial
        # The clamped time of the soft maximum and of √t.
        tolerance = 3e-6
    else:
        expected, tolerance = problem.reference(x).value, 1e-10 * problem.residual_scale
    torch.testing.assert_close(u, expected, rtol=0, atol=tolerance)
    # And away from there they do not: the network counts.
    inside = problem.sample(5, generator(seed))
    one, other = (problem.trial(Small(problem.num_inputs, s))(inside) for s in (seed, seed + 1))
    assert (one - other).abs().max() > 0


def test_the_hjb_residual_has_the_signs_of_cole_and_hopf():
    """With d = 1 and exp(-μ u) = exp(-x - t), a solution of the heat equation backward."""
    problem = make("hjb", 1, equation="lqg", mu=0.7)
    x = problem.sample(6, generator(0))
    solution = lambda y: (y[:, 0] + y[:, 1]) / 0.7  # noqa: E731
    residual = problem.residual(x, dense_terms(problem, solution, x), problem.source(x))
    assert residual.abs().max() < 1e-12


def quadrature(problem, x, order=80):
    """Return the Cole–Hopf solution by a tensor Gauss–Hermite rule in d = 1, 2."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    grid = np.stack(np.meshgrid(*[nodes] * problem.dim), -1).reshape(-1, problem.dim)
    mass = np.prod(np.meshgrid(*[weights] * problem.dim), 0).reshape(-1)
    mass = torch.from_numpy(mass / mass.sum())
    s = (2.0 * (1.0 - x[:, -1])).sqrt()
    ends = x[:, None, :-1] + s[:, None, None] * torch.from_numpy(grid)
    flat = torch.cat([ends.reshape(-1, problem.dim), torch.ones(ends[..., 0].numel(), 1)], 1)
    g = problem.offset(flat).reshape(len(x), -1)
    mu = problem.config.mu
    return -(torch.exp(-mu * g) @ mass).log() / mu


@pytest.mark.parametrize(
    ("dim", "equation", "mu"),
    [(1, "lqg", 1.0), (2, "lqg", 1.0), (2, "lqg", 3.0), (2, "rosenbrock", 1.0)],
)
def test_monte_carlo_intervals_cover_the_quadrature(dim, equation, mu):
    x = make("hjb", dim, equation=equation).sample(3, generator(1))
    expected = quadrature(make("hjb", dim, equation=equation, mu=mu), x)
    torch.testing.assert_close(
        expected, quadrature(make("hjb", dim, equation=equation, mu=mu), x, 100), rtol=0, atol=1e-4
    )
    covered = 0
    for seed in range(100):
        problem = make(
            "hjb", dim, equation=equation, mu=mu, reference_seed=seed, reference_samples=2000
        )
        value, error = problem.reference(x)
        assert (value - expected).abs().max() < 4 * error.max()
        covered += int(((value - expected).abs() < error).sum())
    # 300 intervals of 95%, three at a time from the same draws: 285 ± 6.5 at worst.
    assert 265 <= covered <= 299


def test_radial_draws_have_the_law_of_full_ones():
    """The same expectation from two numbers a draw as from d."""
    x = make("hjb", 30).sample(4, generator(2))
    short = make("hjb", 30, reference_samples=40_000)
    draws = torch.randn(40_000, 30, generator=generator(3), dtype=torch.float64)
    space, s = x[:, :-1], (2.0 * (1.0 - x[:, -1])).sqrt()
    full = cole_hopf.Draws(space @ draws.T, draws.square().sum(1))
    expected, width = cole_hopf.log_mean(
        space.square().sum(1), s, iter([full]), mu=1.0, alpha=0.5, beta=0.5
    )
    value, error = short.reference(x)
    assert ((value - expected).abs() < 1.7 * torch.hypot(width, error)).all()
    assert error.max() < 5e-3


def lqg_value(dim, x, t, mu):
    """Return u(t, x) by one integral: Q^-μ = ∫ λ^(μ-1) e^(-λQ) dλ / Γ(μ), of Gaussian mean.

    E exp(-λ|x + s w|²/2) = (1 + λs²)^(-d/2) exp(-λ|x|²/(2 + 2λs²)), s² = 2(1 - t).
    """
    square, s2 = float(x @ x), 2.0 * (1.0 - t)
    rate = 2.0 / (1.0 + square + s2 * dim)  # of λ where the mass lies

    def integrand(z):
        lam = rate * z
        exponent = -0.5 * lam - 0.5 * dim * math.log1p(lam * s2)
        return z ** (mu - 1.0) * math.exp(exponent - 0.5 * lam * square / (1.0 + lam * s2))

    total = integrate.quad(integrand, 0.0, math.inf, epsabs=0.0, epsrel=1e-11)[0]
    return -math.log(rate**mu * total / special.gamma(mu)) / mu


@pytest.mark.parametrize(("dim", "mu"), [(1, 1.0), (2, 3.0), (100, 1.0), (100, 2.0), (1000, 1.0)])
def test_lqg_agrees_with_one_integral_at_every_dimension(dim, mu):
    problem = make("hjb", dim, equation="lqg", mu=mu, reference_samples=20_000)
    x = problem.sample_test(20, generator(4))
    values = [lqg_value(dim, p[:-1], float(p[-1]), mu) for p in x]
    expected = torch.tensor(values, dtype=torch.float64)
    if dim <= 2:
        torch.testing.assert_close(quadrature(problem, x, 140), expected, rtol=0, atol=1e-4)
    value, error = problem.reference(x)
    # The points share their draws: their errors are nearly one number.
    assert ((value - expected).abs() < 2.0 * error).all()
    # What the ansatz leaves to the network is of order one, and below zero, at every d.
    if dim >= 100:
        left = (expected - problem.offset(x)) / problem.factor(x)
        assert left.min() > -4.0 and left.max() < -0.5


def test_points_on_paths_start_from_test_points():
    """x = x_0 + √2 W of a time uniform on (0, t): of kurtosis above the normal one's."""
    problem = make("hjb", 10, equation="lqg", points="paths")
    x = problem.sample(20_000, generator(0))
    assert stats.kstest(x[:, -1].numpy(), "uniform").pvalue > 1e-3
    # Given t, the mean of |x|²/d is 1 + t, and its second moment (1 + 2/d) E (1 + 2r)².
    for low in (0.0, 0.5, 0.9):
        t = x[:, -1]
        inside = (t > low) & (t < low + 0.1)
        square, t = x[inside, :-1].square().mean(1), t[inside]
        assert float((square - 1.0 - t).mean()) == pytest.approx(0.0, abs=0.05)
        second = (1.0 + 2.0 / 10) * (1.0 + 2.0 * t + 4.0 * t**2 / 3.0)
        assert float((square**2).mean() / second.mean()) == pytest.approx(1.0, abs=0.12)
    assert torch.equal(
        problem.sample_test(5, generator(1)), make("hjb", 10).sample(5, generator(1))
    )


def test_the_reference_error_falls_as_the_root_of_the_samples():
    x = make("hjb", 100).sample(5, generator(0))
    errors = [
        make("hjb", 100, reference_samples=n).reference(x).error.mean() for n in (1000, 16_000)
    ]
    assert float(errors[0] / errors[1]) == pytest.approx(4.0, rel=0.15)


def radial_value(dim, reaction, num=1500, reach=60.0):
    """Solve u_t = 4 s u_ss + 2 d u_s + f(u), s = |x|², by second-order differences; u(0.3, 0)."""
    # s = h(y²) refines near the origin, where the value is read.
    end = max(reach, 4.0 * parabolic.FINAL * dim)
    y = np.linspace(0.0, 1.0, num)
    s = end * y**2
    u = 5.0 / (10.0 + 2.0 * s)
    left, right = np.diff(s)[:-1], np.diff(s)[1:]
    weights = np.zeros((3, num))  # of u[i-1], u[i], u[i+1] in the linear part
    inner, middle = slice(1, -1), s[1:-1]
    weights[0, inner] = (8.0 * middle - 2.0 * dim * right) / (left * (left + right))
    weights[2, inner] = (8.0 * middle + 2.0 * dim * left) / (right * (left + right))
    weights[1, inner] = -weights[0, inner] - weights[2, inner]
    # At s = 0 only the slope counts: a one-sided difference of second order.
    a, b = s[1], s[2]

    def rate(_, u):
        out = reaction(u)
        inner_part = weights[:, 1:-1]
        out[1:-1] += inner_part[0] * u[:-2] + inner_part[1] * u[1:-1] + inner_part[2] * u[2:]
        slope = (u[1] - u[0]) / a - ((u[2] - u[1]) / (b - a) - (u[1] - u[0]) / a) * a / b
        out[0] += 2.0 * dim * slope
        out[-1] += 2.0 * dim * (u[-1] - u[-2]) / (s[-1] - s[-2])
        return out

    done = integrate.solve_ivp(
        rate, (0, parabolic.FINAL), u, "LSODA", rtol=1e-8, atol=1e-10, lband=2, uband=2
    )
    return float(done.y[0, -1])


@pytest.mark.parametrize("dim", [10, 100, 1000])
@pytest.mark.parametrize(
    ("equation", "reaction"),
    [("heat", lambda u: (1 - u**2) / (1 + u**2)), ("sine_gordon", np.sin)],
)
def test_published_values_agree_with_the_radial_equation(dim, equation, reaction):
    """The two radial problems in one variable: sign, direction of time and table are right."""
    published, error = parabolic._REFERENCES[equation][dim]
    assert radial_value(dim, reaction) == pytest.approx(published, rel=error)
    assert radial_value(dim, lambda u: 0.0 * u) == pytest.approx(
        parabolic.linear_value(equation, dim), rel=5e-6
    )


@pytest.mark.parametrize("equation", ["heat", "allen_cahn"])
def test_the_linear_value_is_the_mean_over_paths(equation):
    rng = np.random.default_rng(0)
    x = math.sqrt(2 * parabolic.FINAL) * rng.standard_normal((200_000, 10))
    square = 5.0 / (10.0 + 2.0 * (x**2).sum(1))
    g = np.arctan(x.max(1)) if equation == "allen_cahn" else square
    error = g.std() / math.sqrt(len(g))
    assert abs(g.mean() - parabolic.linear_value(equation, 10)) < 4 * error


def known_residual(problem, x):
    """Return ΔA - A_t at the rows of `x`, in units of the residual's scale."""
    second = problem.offset.jet(x, problem.operator.every_direction(x)).curvature
    slope = problem.offset.slopes(x, problem.operator.drift(x)).squeeze(1)
    return (second - slope) / problem.residual_scale


@pytest.mark.parametrize("equation", ["heat", "sine_gordon"])
@pytest.mark.parametrize("dim", [10, 100, 1000, 10_000])
def test_the_known_part_follows_heat_to_leading_order(equation, dim):
    """Its residual is a part of that of f; that of g itself is a multiple of it."""
    settings_ = ParabolicConfig(kind="parabolic", dim=dim, equation=equation)
    problem = Parabolic(settings_, CPU, torch.float64)
    x = problem.sample(400, generator(0))
    ours = known_residual(problem, x).square().mean().sqrt()
    problem.offset = Radial(dim, parabolic._bell)
    bare = known_residual(problem, x).square().mean().sqrt()
    assert ours < min(0.25, 30.0 / dim)
    assert bare > 1.0 and bare > 10.0 * ours


@pytest.mark.parametrize(("dim", "mean"), [(10, 1.538753), (100, 2.507594), (1000, 3.241436)])
def test_the_soft_maximum_is_the_expected_one_at_the_origin(dim, mean):
    """With the tabulated means of the largest of d standard normal numbers."""
    assert parabolic.mean_of_maximum(dim, lambda z: z) == pytest.approx(mean, abs=1e-6)
    point = torch.zeros(1, dim + 1, dtype=torch.float64)
    point[0, dim] = parabolic.FINAL
    expected = math.atan(math.sqrt(2 * parabolic.FINAL) * mean)
    assert parabolic.soft_maximum(dim)(point).item() == pytest.approx(expected, abs=1e-6)


def test_a_parabolic_problem_is_compared_at_one_point():
    problem = make("parabolic", 10, equation="heat")
    x = problem.sample_test(500, generator(0))
    assert x.tolist() == [[0.0] * 10 + [0.3]]
    value, error = problem.reference(x)
    assert value.item() == 0.47006 and error.item() == pytest.approx(5.2e-4, rel=0.01)
    ray = problem.ray(torch.linspace(0, 1, 5, dtype=torch.float64), generator(0))
    known = problem.reference(ray).value
    assert known[0] == 0.47006 and known[1:].isnan().all()


def normal_scores(problem, kind, x):
    """Return what the stated law makes independent standard normal, (n, d)."""
    space, time = x[:, :-1], x[:, -1:]
    match kind:
        case "parabolic":
            return space / (2.0 * (parabolic.FINAL - time)).sqrt()
        case "hjb":
            return space
        case "black_scholes_barenblatt":
            return ((space / problem.start).log() + 0.08 * time) / (0.4 * time.sqrt())
        case "fokker_planck":
            mean, variance = problem.moments(time)
            return (space - mean) / variance.sqrt()


@pytest.mark.parametrize("kind", ["parabolic", "hjb", "black_scholes_barenblatt", "fokker_planck"])
def test_points_in_space_and_time_have_the_stated_law(kind):
    problem = make(kind, 10, **({"equation": "heat"} if kind == "parabolic" else {}))
    x = problem.sample(5000, generator(0))
    final = parabolic.FINAL if kind == "parabolic" else 1.0
    scores = normal_scores(problem, kind, x)
    assert stats.kstest(x[:, -1].numpy(), stats.uniform(0, final).cdf).pvalue > 1e-3
    for axis in range(10):
        assert stats.kstest(scores[:, axis].numpy(), "norm").pvalue > 1e-4
    correlation = scores.T @ scores / 5000 - torch.eye(10, dtype=torch.float64)
    assert correlation.abs().max() < 0.08
    assert abs(np.corrcoef(scores[:, 0].numpy() ** 2, x[:, -1].numpy())[0, 1]) < 0.06


def test_oscillator_points_fill_the_ball_of_its_radius():
    problem = make("schroedinger", 9)
    radius = problem.sample(4000, generator(0)).norm(dim=1) / problem.radius
    assert problem.radius == 3.0
    assert stats.kstest(radius.numpy(), "uniform").pvalue > 1e-3
    assert problem.energy == pytest.approx(4.5, rel=1e-12)
    assert (problem.frequencies > 0).all()


@pytest.mark.parametrize("zero_sum", [True, False])
def test_three_body_amplitude_is_the_size_of_the_sum(zero_sum):
    problem = make("three_body", 400, zero_sum=zero_sum, coefficient_seed=3)
    x = problem.sample(4000, generator(0))
    sigma = problem.exact(x) / problem.bump(x)
    assert float(sigma.square().mean().sqrt()) == pytest.approx(problem.amplitude, rel=0.25)


def test_three_body_source_keeps_its_digits_in_float32():
    single = make("three_body", 1000, torch.float32)
    double = make("three_body", 1000)
    x = double.sample(50, generator(0))
    error = (single.source(x.float()) - double.source(x)) / double.residual_scale
    assert error.abs().max() < 2e-5


@pytest.mark.parametrize("case", EXACT + OTHERS, ids=str)
def test_same_seed_same_problem(case):
    kind, more = case
    one, other = make(kind, 6, **more), make(kind, 6, **more)
    assert one.description().keys() == other.description().keys()
    for key, value in one.description().items():
        assert value.dtype == torch.float64
        assert torch.equal(value, other.description()[key])
    assert torch.equal(one.sample(3, generator(1)), other.sample(3, generator(1)))
