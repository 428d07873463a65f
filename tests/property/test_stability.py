"""The bound of the error by the residual: closed forms, true errors, coverage."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from torch import nn

from pipeline.networks.mlp import network as mlp
from pipeline.networks.mlp.config import MLP
from pipeline.problems.base import Trial
from pipeline.problems.stability import Stability
from pipeline.problems.three_body import problem as three_body
from pipeline.problems.three_body.config import ThreeBody
from pipeline.problems.two_body import problem as two_body
from pipeline.problems.two_body.config import TwoBody
from pipeline.training.pinn.a_posteriori import StableProblem, _limit, error_bound

CPU = torch.device("cpu")
EQUATIONS = ("poisson", "allen_cahn", "sine_gordon")
seeds = st.integers(0, 2**32 - 1)


def make(kind, dim, equation="poisson", seed=0):
    module, model = {"two_body": (two_body, TwoBody), "three_body": (three_body, ThreeBody)}[kind]
    config = model(kind=kind, dim=dim, equation=equation, coefficient_seed=seed)
    return module.Problem(config, CPU, torch.float64)


def network(dim, seed, scale):
    """A network whose weights are `scale` times those of initialisation: smooth or wild."""
    torch.manual_seed(seed)
    net = mlp.build(MLP(kind="mlp", width=8, depth=3), dim)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(scale)
    return net


def rms_error(problem, net, num_points, seed):
    x = problem.sample(num_points, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return float((problem.trial(net.double())(x) - problem.exact(x)).square().mean().sqrt())


@pytest.mark.parametrize("dim", [2, 3, 4, 5, 6, 10, 100, 1000])
def test_the_weight_is_the_integral_and_below_its_bound(dim):
    stability = Stability(dim, 1.0)
    radius = torch.linspace(0, 1, 401, dtype=torch.float64)
    weight = stability.weight(radius)
    assert weight[0] < 1e-300 and weight[-1] == 0.0 and (weight[1:-1] > 0).all()
    eta = 1.0 - 1.0 / stability.amplification
    assert weight.max().sqrt() <= eta
    for r, found in zip(radius[1::40].tolist(), weight[1::40].tolist(), strict=True):
        # s = r exp(t / d): the integrand falls on the scale of t.
        end = -dim * math.log(r)
        integral = quad(
            lambda t, r=r: math.exp(t * (3 - dim) / dim) * (1 - r * r * math.exp(2 * t / dim) / 3),
            0.0, min(end, 60.0) if dim > 50 else end,
        )[0]  # fmt: skip
        assert found == pytest.approx(r * r * integral / dim / (2 * dim), rel=1e-8)


@pytest.mark.parametrize("dim", [2, 3, 5, 10, 1000])
def test_constant_residuals_are_bounded_with_equality(dim):
    """R = 2d for e = -(1 - |x|²): both sides over the radius by Gauss–Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    r = torch.from_numpy((nodes + 1) / 2)
    # E over the uniform radius; nodes refined at r = 1, where the weight has a layer of width 1/d.
    edge = 1 - 40 / dim if dim > 50 else 0.0
    parts = [(0.0, edge), (edge, 1.0)] if edge else [(0.0, 1.0)]
    bound = (
        sum(
            (b - a) / 2 * float(torch.from_numpy(weights) @ Stability(dim).weight(a + (b - a) * r))
            for a, b in parts
        )
        * (2 * dim) ** 2
    )
    assert bound == pytest.approx(8 / 15, rel=1e-9)
    assert Stability(dim).amplification == 1.0


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["two_body", "three_body"]), st.integers(4, 12), st.sampled_from(EQUATIONS),
    seeds, st.sampled_from([0.5, 1.0, 3.0]),
)  # fmt: skip
def test_the_bound_holds_for_random_networks(kind, dim, equation, seed, scale):
    problem, net = make(kind, dim, equation, seed), network(dim, seed, scale)
    found = error_bound(problem, net, 2000, torch.Generator().manual_seed(seed))
    # Other points than the bound's, so many that their mean is known to a few per cent.
    error = rms_error(problem, net, 20_000, seed + 1)
    assert error <= 1.08 * found["error_bound"]
    if "relative_error_bound" in found:
        x = problem.sample(20_000, torch.Generator().manual_seed(seed + 1))
        size = float(problem.exact(x).square().mean().sqrt())
        assert error / size <= 1.1 * found["relative_error_bound"]


@pytest.mark.parametrize("equation", EQUATIONS)
def test_the_bound_is_useful_for_networks_close_to_the_solution(equation):
    """u + 10⁻² q N as the trial function: known error, found from the residual within a factor."""
    dim = 10
    problem, net = make("two_body", dim, equation), network(dim, 1, 1.0).double()
    exact = problem.exact

    x = problem.sample(4000, torch.Generator().manual_seed(0))
    error = Trial(net, None, problem.bump)

    def near(y):
        return exact(y) + 1e-2 * error(y)

    hessian = torch.func.vmap(torch.func.hessian(lambda y: near(y[None])[0]))(x)
    laplacian = hessian.diagonal(dim1=1, dim2=2).sum(1)
    residual = laplacian + problem.nonlinearity(near(x)) - problem.source(x)
    weight = problem.stability.weight(x.norm(dim=1))
    bound = (
        float((weight * residual.square()).mean().sqrt().detach()) * problem.stability.amplification
    )
    size = float((near(x) - exact(x)).square().mean().sqrt().detach())
    assert size <= bound <= 4 * size


def test_an_exact_network_with_a_constant_error_is_bounded_sharply():
    """-Δv = 2d C for v = C q and f = 0: the limit is above the error by the sampling alone."""
    problem = make("two_body", 30)
    problem.source = lambda x: torch.zeros(len(x), dtype=x.dtype)
    net = nn.Sequential(nn.Linear(30, 4), nn.Tanh(), nn.Linear(4, 1))
    with torch.no_grad():
        net[2].weight.zero_()
        net[2].bias.fill_(0.7)
    found = error_bound(problem, net, 4000, torch.Generator().manual_seed(0))
    assert 1.0 <= found["error_bound"] / (0.7 * math.sqrt(8 / 15)) < 1.05
    # The residual does not exclude u = 0, which is the solution.
    assert "relative_error_bound" not in found


def test_limits_cover_a_known_mean_as_often_as_they_say():
    """Means of squares of normals, 4,000 at a time: 2.5% of the limits lie on the wrong side."""
    draws = torch.randn(4000, 4000, generator=torch.Generator().manual_seed(0)).double().square()
    above = np.mean([_limit([row], 1.0) < 1.0 for row in draws])
    below = np.mean([_limit([row], -1.0) > 1.0 for row in draws])
    # Five standard errors of a fraction of 4,000, and the skewness of the squares.
    assert abs(above - 0.025) < 0.013 and abs(below - 0.025) < 0.013


def test_the_bound_is_reproducible_and_leaves_the_network_alone():
    problem, net = make("three_body", 6, "allen_cahn"), network(6, 0, 1.0)
    before = [p.clone() for p in net.parameters()]
    whole = error_bound(problem, net, 300, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert all(p.dtype == torch.float32 for p in net.parameters())
    again = error_bound(problem, net, 300, torch.Generator().manual_seed(0))
    assert whole == again and isinstance(problem, StableProblem)


def test_networks_without_a_cheap_exact_laplacian_have_no_bound():
    net = nn.Sequential(nn.Linear(4, 3), nn.SiLU(), nn.Linear(3, 1))
    assert error_bound(make("two_body", 4), net, 10, torch.Generator()) == {}
