import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.estimators.sdgd.estimator import sampled_terms
from pipeline.networks.mlp import network as mlp
from pipeline.networks.mlp.config import MLP
from pipeline.problems.base import Operator, Terms, Trial
from pipeline.problems.inseparable import draw_coefficients
from pipeline.problems.two_body.config import TwoBody
from pipeline.problems.two_body.problem import Problem

CPU = torch.device("cpu")
dims = st.integers(3, 9)
seeds = st.integers(0, 2**32 - 1)


def trace_of_hessian(u, x):
    hessian = torch.func.vmap(torch.func.hessian(lambda y: u(y[None])[0]))(x)
    return hessian.diagonal(dim1=1, dim2=2).sum(1)


@settings(max_examples=25, deadline=None)
@given(dims, seeds, st.sampled_from(["poisson", "allen_cahn", "sine_gordon"]), st.booleans())
def test_source_matches_the_dense_hessian(dim, seed, equation, zero_sum):
    config = TwoBody(
        kind="two_body", dim=dim, equation=equation, coefficient_seed=seed, zero_sum=zero_sum
    )
    problem = Problem(config, CPU, torch.float64)
    x = problem.sample(4, torch.Generator().manual_seed(seed))
    u = problem.exact(x)
    terms = Terms(u, trace_of_hessian(problem.exact, x))
    residual = problem.residual(x, terms, problem.source(x))
    assert residual.abs().max() < 1e-10


@settings(max_examples=50, deadline=None)
@given(st.integers(3, 3000), seeds)
def test_zero_sum_coefficients_sum_to_zero_and_are_reproducible(dim, seed):
    config = TwoBody(kind="two_body", dim=dim, coefficient_seed=seed)
    c = draw_coefficients(config, dim - 1)
    assert abs(c.sum()) < 1e-11
    assert (c == draw_coefficients(config, dim - 1)).all()


@settings(max_examples=25, deadline=None)
@given(dims, seeds, st.integers(2, 4), st.integers(1, 7), st.data())
def test_sampled_laplacian_is_the_scaled_partial_trace(dim, seed, depth, width, data):
    problem = Problem(TwoBody(kind="two_body", dim=dim), CPU, torch.float64)
    torch.manual_seed(seed)
    network = mlp.build(MLP(kind="mlp", width=width, depth=depth), dim).double()
    u = problem.trial(network)
    x = problem.sample(3, torch.Generator().manual_seed(seed))
    axes = data.draw(st.permutations(range(dim)))[: data.draw(st.integers(1, dim))]
    hessian = torch.func.vmap(torch.func.hessian(lambda y: u(y[None])[0]))(x)
    expected = dim / len(axes) * hessian[:, axes, axes].sum(1)
    found = sampled_terms(u, x, problem.operator, torch.tensor(axes)).second
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(1, 5))
def test_estimates_are_linear_in_the_function(seed, num_axes):
    problem = Problem(TwoBody(kind="two_body", dim=5), CPU, torch.float64)
    x = problem.sample(4, torch.Generator().manual_seed(seed))
    axes = torch.randperm(5, generator=torch.Generator().manual_seed(seed))[:num_axes]
    f, g = problem.exact, problem.factor

    def second(field):
        u = Trial(lambda y: field(y).unsqueeze(-1))
        return sampled_terms(u, x, Operator(5), axes).second

    both = second(lambda y: 2.0 * f(y) - 3.0 * g(y))
    torch.testing.assert_close(both, 2.0 * second(f) - 3.0 * second(g), rtol=1e-10, atol=1e-10)
    # Δ(1 - |x|²) = -2d from any axes.
    assert second(g).tolist() == pytest.approx([-10.0] * 4)
