import itertools
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from pipeline.calculus import jets as collapsed
from pipeline.errors import ConfigError
from pipeline.estimators import base
from pipeline.estimators.full import estimator as full
from pipeline.estimators.full.config import Full
from pipeline.estimators.sdgd import estimator as sdgd
from pipeline.estimators.sdgd.config import SDGD
from pipeline.networks.mlp import network as mlp
from pipeline.networks.mlp.config import MLP
from pipeline.parallel.axes import AxisPartition
from pipeline.problems import inseparable
from pipeline.problems.base import Operator, Trial
from pipeline.problems.two_body.config import TwoBody
from pipeline.problems.two_body.problem import Problem

CPU = torch.device("cpu")


class Opaque(nn.Module):
    """Hides the layers, so that the estimators must fall back to nested derivatives."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)


def trial(dim, width=6, depth=4, seed=0, std=1.0):
    """A trial function with weights large enough for every term of the product rule to matter."""
    problem = Problem(TwoBody(kind="two_body", dim=dim), CPU, torch.float64)
    torch.manual_seed(seed)
    network = mlp.build(MLP(kind="mlp", width=width, depth=depth), dim).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, std)
    return problem.trial(network)


def points(u, n=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return inseparable.ball(n, AxisPartition(u.factor.dim), generator, torch.float64, CPU)


def sampled(u, x, axes):
    terms = sdgd.sampled_terms(u, x, Operator(x.shape[1]), torch.as_tensor(axes))
    return terms.value, terms.second


def dense_laplacian(u, x):
    hessian = torch.func.vmap(torch.func.hessian(lambda y: u(y[None])[0]))(x)
    return hessian.diagonal(dim1=1, dim2=2).sum(1)


def gradients(u, x, axes):
    value, laplacian = sampled(u, x, axes)
    return torch.autograd.grad((laplacian**2 + value).sum(), list(u.network.parameters()))


@pytest.mark.parametrize("wrap", [lambda net: net, Opaque], ids=["jets", "nested"])
@pytest.mark.parametrize("num_axes", [1, 2, 4])
def test_mean_over_all_index_sets_is_the_laplacian(wrap, num_axes):
    u = trial(dim=4)
    u = replace(u, network=wrap(u.network))
    x = points(u)
    subsets = list(itertools.combinations(range(4), num_axes))
    estimates = [sampled(u, x, torch.tensor(axes))[1] for axes in subsets]
    mean = torch.stack(estimates).mean(0)
    expected = dense_laplacian(u, x)
    torch.testing.assert_close(mean, expected, rtol=1e-12, atol=1e-12 * expected.abs().max().item())


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("wrap", [lambda net: net, Opaque], ids=["jets", "nested"])
def test_all_axes_give_the_exact_laplacian_and_value(depth, wrap):
    u = trial(dim=6, depth=depth)
    u = replace(u, network=wrap(u.network))
    x = points(u)
    value, laplacian = sampled(u, x, torch.randperm(6))
    torch.testing.assert_close(value, u(x), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(laplacian, dense_laplacian(u, x), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_jets_and_nested_derivatives_agree_with_their_gradients(depth):
    u = trial(dim=9, depth=depth)
    x, axes = points(u), torch.tensor([7, 0, 3])
    assert collapsed.supports(u.network) and not collapsed.supports(Opaque(u.network))
    hidden = replace(u, network=Opaque(u.network))
    for fast, slow in zip(sampled(u, x, axes), sampled(hidden, x, axes), strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    for fast, slow in zip(gradients(u, x, axes), gradients(hidden, x, axes), strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shared", [1, 3], ids=["slopes-shared-by-all-points", "own-slopes"])
def test_gradient_of_the_tanh_layers_passes_finite_differences(shared):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    # Two slopes of three with second derivatives, and two pairs of layers, one without a bias.
    parts = (draw(3, 4), draw(3, shared, 4), draw(5, 4), draw(5), draw(1, 5), None)
    assert torch.autograd.gradcheck(collapsed._TanhLayers.apply, (2, *parts))


def test_jets_are_used_for_a_constrained_mlp(monkeypatch):
    def fail(*_):
        raise AssertionError("fell back to nested derivatives")

    monkeypatch.setattr(base, "nested_derivatives", fail)
    u = trial(dim=5)
    sampled(u, points(u), torch.arange(3))


def test_any_function_of_points_has_a_laplacian():
    x = torch.randn(4, 5, dtype=torch.float64)
    value, laplacian = sampled(Trial(lambda y: (y**2).sum(-1, keepdim=True)), x, [1, 4])
    torch.testing.assert_close(value, (x**2).sum(-1))
    torch.testing.assert_close(laplacian, torch.full((4,), 10.0, dtype=torch.float64))


@pytest.mark.parametrize("chunk", [1, 4, 50])
def test_full_baseline_is_exact_for_every_chunk(chunk):
    u = trial(dim=10)
    x = points(u)
    estimator = full.build(Full(kind="full", chunk=chunk), None, u.network)
    value, laplacian, _, _ = estimator(u, x, Operator(10), None)
    torch.testing.assert_close(value, u(x))
    torch.testing.assert_close(laplacian, dense_laplacian(u, x), rtol=1e-11, atol=1e-11)
    parameters = list(u.network.parameters())
    loss = (laplacian**2 + value).sum()
    expected = gradients(u, x, torch.arange(10))
    for mine, theirs in zip(torch.autograd.grad(loss, parameters), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


def test_sampled_axes_are_distinct_reproducible_and_uniform():
    counts = torch.zeros(12)
    for seed in range(3000):
        axes = sdgd.draw_axes(12, 4, torch.Generator().manual_seed(seed))
        assert len(axes.unique()) == 4
        counts[axes] += 1
    again = sdgd.draw_axes(12, 4, torch.Generator().manual_seed(2999))
    assert torch.equal(axes, again)
    # Each axis is drawn 1000 times in the mean with standard deviation 26.
    assert (counts - 1000).abs().max() < 5 * 26


def test_estimator_draws_its_axes_from_the_generator():
    u = trial(dim=12)
    x = points(u)
    built = sdgd.build(SDGD(kind="sdgd", sampled_axes=4), None, u.network)

    def estimate(seed):
        drawn = built.draw(Operator(12), torch.Generator().manual_seed(seed))
        return built(u, x, Operator(12), drawn).second

    axes = sdgd.draw_axes(12, 4, torch.Generator().manual_seed(5))
    expected = sampled(u, x, axes)[1]
    assert torch.equal(estimate(5), expected)
    assert not torch.equal(estimate(6), expected)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ([3, 1, 3], "expected distinct axes, got axis 3 more than once"),
        ([0, 5], "expected integers in [0, 5), got 0 to 5"),
        ([-1, 2], "expected integers in [0, 5), got -1 to 2"),
        ([], "expected a non-empty vector, got shape (0,)"),
    ],
)
def test_wrong_axes_are_refused_by_name(axes, message):
    u = trial(dim=5)
    with pytest.raises(ConfigError, match=re.escape(message)):
        sampled(u, points(u), torch.tensor(axes, dtype=torch.int64))
