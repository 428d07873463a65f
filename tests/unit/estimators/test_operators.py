"""Every estimator on every operator: unbiased, exhaustively, against dense derivatives."""

import itertools
import math

import pytest
import torch
from torch import nn

from pipeline.calculus import jets as collapsed
from pipeline.calculus.directions import Axes, Dense
from pipeline.calculus.functions import Expression, Known, Radial, time_factor
from pipeline.errors import ConfigError
from pipeline.estimators.double_backward.estimator import DoubleBackward
from pipeline.estimators.exact_gram import estimator as exact_gram
from pipeline.estimators.exact_gram.config import ExactGram as ExactGramConfig
from pipeline.estimators.exact_gram.estimator import ExactGram, gram_factor
from pipeline.estimators.full.estimator import Full
from pipeline.estimators.hutchinson import estimator as hutchinson
from pipeline.estimators.hutchinson.config import Hutchinson
from pipeline.estimators.jet import estimator as jet
from pipeline.estimators.jet.config import Jet
from pipeline.estimators.sdgd import estimator as sdgd
from pipeline.estimators.sdgd.config import SDGD
from pipeline.estimators.taylor import estimator as taylor
from pipeline.estimators.taylor.config import Taylor
from pipeline.networks.mlp import network as mlp
from pipeline.networks.mlp.config import MLP
from pipeline.problems.base import Operator, Terms, Trial
from pipeline.problems.hjb import problem as hjb

D = 4
ANSATZES = ["radial", "expression", "known", "none", "bare"]
CPU = torch.device("cpu")


def drift(x):
    return Dense(torch.cat([0.3 * x[:, :D], torch.ones_like(x[:, :1])], 1).unsqueeze(1))


SIGMA = torch.randn(6, D, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def moving(x, index):
    """Six columns of a σ that depends on the point."""
    return SIGMA[index] * (1.0 + 0.2 * x[:, None, :D])


OPERATORS = {
    "laplacian": Operator(D),
    "drift": Operator(D, drift=drift),
    "time": Operator(D, drift=lambda x: Axes(torch.tensor([D]))),
    "weights": Operator(D, root_weights=lambda x, index: x[:, index], drift=drift),
    "squares": Operator(D, drift=drift, gradient_power=2.0),
    "powers": Operator(D, drift=drift, gradient_power=1.75),
    "mixed": Operator(D, mixed_roots=lambda x, index: SIGMA[None, index], num_mixed=6),
    "moving": Operator(D, mixed_roots=moving, num_mixed=6, drift=drift),
}


def cases(names=OPERATORS):
    """Operators and ansatzes that go together: `known` has no mixed derivatives."""
    mixed = ("mixed", "moving")
    return [(n, k) for n in names for k in ANSATZES if not (n in mixed and k == "known")]


def bell(s):
    inverse = 1.0 / (3.0 + s)
    return inverse, -(inverse**2), 2.0 * inverse**3


def ansatz(network, kind):
    like = torch.empty(0, dtype=torch.float64)
    offsets = {
        "radial": Radial(D, bell),
        "expression": Expression(lambda x: (x[:, 0] * x[:, 1]).sin() + x[:, D] ** 2),
        "known": hjb.Rosenbrock.draw(D, 3).log_one_plus(),
        "none": None,
        "bare": None,
    }
    factors = {
        "radial": time_factor(D, 1.5, 1.0, like),
        "expression": Radial(D, lambda s: (1.0 - s, -torch.ones_like(s), torch.zeros_like(s))),
        "known": Known(lambda x: 1.0 + x[:, D] ** 2, lambda x: 2.0 * torch.cat(
            [torch.zeros_like(x[:, :D]), x[:, D:]], 1)),
        "none": Radial(D, bell),
        "bare": None,
    }  # fmt: skip
    return Trial(network, offsets[kind], factors[kind])


def network(num_inputs=D + 1, width=3, depth=4, seed=0):
    torch.manual_seed(seed)
    net = mlp.build(MLP(kind="mlp", width=width, depth=depth), num_inputs).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, 0.0, 0.8)
    return net


def points(dim=D, n=3):
    return torch.randn(n, dim + 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def dense_terms(u, x, operator):
    """The definition of the terms, from dense gradients and Hessians."""
    d = operator.dim
    single = lambda y: u(y[None])[0]  # noqa: E731
    gradient = torch.func.vmap(torch.func.grad(single))(x)
    hessian = torch.func.vmap(torch.func.hessian(single))(x)[:, :d, :d]
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    if operator.root_weights is not None:
        diagonal = operator.root_weights(x, torch.arange(d)).square() * diagonal
    if operator.mixed_roots is not None:
        roots = operator.mixed_roots(x, torch.arange(operator.num_mixed))
        diagonal = ((roots.transpose(1, 2) @ roots) * hessian).sum(2)
    along = None
    if operator.drift is not None:
        vectors = operator.drift(x).vectors(x).expand(len(x), -1, -1)[:, 0]
        along = (vectors * gradient).sum(1)
    slopes = None
    if operator.gradient_power is not None:
        slopes = (gradient[:, :d].abs() ** operator.gradient_power).sum(1)
    return Terms(u(x), diagonal.sum(1), along, slopes)


def check(found, expected):
    for name, mine, theirs in zip(Terms._fields, found, expected, strict=True):
        assert (mine is None) == (theirs is None), name
        if mine is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10, msg=name)


def mean(all_terms):
    columns = zip(*all_terms, strict=True)
    return Terms(*(None if c[0] is None else torch.stack(c).mean(0) for c in columns))


def parameter_gradient(u, terms):
    weight = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    loss = sum((weight * part**2).sum() for part in terms if part is not None)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(u.network.parameters()))])


@pytest.mark.parametrize("collapse", [True, False], ids=["collapsed", "nested"])
@pytest.mark.parametrize(("name", "kind"), cases())
def test_mean_over_all_index_sets_is_the_operator(name, kind, collapse):
    u, x, operator = ansatz(network(), kind), points(), OPERATORS[name]
    for number in (1, 3):
        every = range(operator.num_directions)
        sets = [torch.tensor(s) for s in itertools.combinations(every, number)]
        found = mean([sdgd.sampled_terms(u, x, operator, s, collapse=collapse) for s in sets])
        check(found, dense_terms(u, x, operator))


@pytest.mark.parametrize(("name", "kind"), cases([n for n in OPERATORS if n != "powers"]))
def test_mean_over_all_signs_is_the_operator(name, kind):
    u, x, operator = ansatz(network(), kind), points(), OPERATORS[name]
    signs = list(itertools.product((-1.0, 1.0), repeat=operator.num_directions))
    one = [hutchinson.directed_terms(u, x, operator, torch.tensor([s])) for s in signs]
    check(mean(one), dense_terms(u, x, operator))
    # The factor 1/b: two directions at once give the mean of both.
    two = hutchinson.directed_terms(u, x, operator, torch.tensor([signs[3], signs[6]]))
    check(two, mean([one[3], one[6]]))


def test_normal_directions_are_unbiased_by_their_second_moments():
    """Gauss–Hermite nodes ±1 with weight ½ have the moments of a normal variable up to order 3.

    The estimate is quadratic in v, so its mean over normal directions is that over signs; that the
    directions drawn have unit covariance is what is left to test.
    """
    built = hutchinson.Hutchinson(20_000, "gaussian")
    drawn = built.draw(Operator(D), torch.Generator().manual_seed(0))
    covariance = drawn.T @ drawn / 20_000
    assert (covariance - torch.eye(D)).abs().max() < 0.05
    assert len(drawn.unique()) > 70_000


@pytest.mark.parametrize(("name", "kind"), cases())
def test_double_backward_and_full_are_exact_with_all_axes(name, kind):
    u, x, operator = ansatz(network(), kind), points(), OPERATORS[name]
    for estimator in (DoubleBackward(operator.num_directions), Full(3)):
        expected = dense_terms(u, x, operator)
        drawn = estimator.draw(operator, torch.Generator().manual_seed(0))
        found = estimator(u, x, operator, drawn)
        check(found, expected)
        torch.testing.assert_close(
            parameter_gradient(u, found), parameter_gradient(u, expected), rtol=1e-8, atol=1e-8
        )


@pytest.mark.parametrize("name", OPERATORS)
def test_double_backward_estimates_what_sdgd_does(name):
    u, x, operator = ansatz(network(), "none"), points(), OPERATORS[name]
    estimators = (DoubleBackward(2), sdgd.SDGD(2), sdgd.SDGD(2, collapse=False))
    draws = [e.draw(operator, torch.Generator().manual_seed(3)) for e in estimators]
    both = [e(u, x, operator, drawn) for e, drawn in zip(estimators, draws, strict=True)]
    check(both[0], both[1])
    check(both[2], both[1])


@pytest.mark.parametrize("width", [1, 3, 7])
@pytest.mark.parametrize("kind", ["radial", "known", "none", "bare"])
@pytest.mark.parametrize("name", ["laplacian", "drift", "time", "squares"])
def test_the_gram_matrix_gives_the_exact_operator_and_its_gradient(monkeypatch, name, kind, width):
    u, x, operator = ansatz(network(width=width), kind), points(), OPERATORS[name]
    used = []
    monkeypatch.setattr(
        exact_gram, "gram_factor", lambda *given: used.append(1) or gram_factor(*given)
    )
    found = ExactGram()(u, x, operator, torch.Generator())
    assert bool(used) == (2 * width < D)
    expected = dense_terms(u, x, operator)
    check(found, expected)
    torch.testing.assert_close(
        parameter_gradient(u, found), parameter_gradient(u, expected), rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize(
    ("units", "rank"), [(5, 5), (5, 3), (32, 32), (33, 33), (70, 70), (70, 68)]
)
def test_the_factor_of_a_gram_matrix_has_its_gradient(units, rank):
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(units, rank, generator=generator, dtype=torch.float64)
    weight = (left @ torch.randn(rank, 150, generator=generator, dtype=torch.float64)).detach()
    weight /= weight.norm(dim=1, keepdim=True)
    weight.requires_grad_()
    factor = gram_factor(weight)
    torch.testing.assert_close(factor @ factor.T, weight @ weight.T, rtol=1e-10, atol=1e-10)
    test = torch.randn(units, units, generator=generator, dtype=torch.float64)
    test = test + test.T
    (found,) = torch.autograd.grad((test * (factor @ factor.T)).sin().sum(), weight)
    (expected,) = torch.autograd.grad((test * (weight @ weight.T)).sin().sum(), weight)
    # Of a rank-deficient matrix directions out of the row space are not followed, nor needed.
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_the_gram_estimator_agrees_in_float32_at_high_dimension():
    d = 600
    single = network(d, width=32).float()
    for parameter in single.parameters():
        nn.init.normal_(parameter, 0.0, 1.0 / math.sqrt(parameter.shape[-1]))
    x = torch.randn(4, d, generator=torch.Generator().manual_seed(0))
    operator = Operator(d)
    u = Trial(single, None, Radial(d, lambda s: (1 - s, -torch.ones_like(s), 0 * s)))
    found = ExactGram()(u, x, operator, torch.Generator()).second
    expected = sdgd.sampled_terms(u, x, operator, torch.arange(d)).second
    torch.testing.assert_close(found, expected, rtol=2e-4, atol=2e-4 * expected.abs().max().item())


def test_taylor_and_jet_are_sdgd_by_other_means():
    net = network()
    build = taylor.build(Taylor(kind="taylor", num_directions=3), None, net)
    assert build == sdgd.SDGD(3)
    build = jet.build(Jet(kind="jet", sampled_axes=2), None, net)
    assert build == sdgd.SDGD(2, collapse=False)


class Convolution(nn.Module):
    """Any torch module: not a stack of linear layers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Conv1d(1, 2, 3, padding=1).double()
        self.gate = nn.Linear(2 * (D + 1), 1).double()

    def forward(self, x):
        h = nn.functional.softplus(self.inner(x[:, None])).flatten(1)
        return self.gate(h * h.sigmoid())


@pytest.mark.parametrize("name", OPERATORS)
def test_any_module_has_an_estimate(name):
    u, x, operator = ansatz(Convolution(), "radial"), points(), OPERATORS[name]
    assert not collapsed.supports(u.network)
    every = range(operator.num_directions)
    sets = [torch.tensor(s) for s in itertools.combinations(every, 2)]
    found = mean([sdgd.sampled_terms(u, x, operator, s) for s in sets])
    check(found, dense_terms(u, x, operator))


class _Stub:
    def __init__(self, operator):
        self.operator = operator


def test_estimators_refuse_what_they_would_get_wrong():
    net, lin, weights = network(), _Stub(OPERATORS["powers"]), _Stub(OPERATORS["weights"])
    gram = ExactGramConfig(kind="exact_gram")
    signs = Hutchinson(kind="hutchinson")
    for build, settings in ((exact_gram.build, gram), (hutchinson.build, signs)):
        with pytest.raises(ConfigError, match=r"for the gradient term Σ \|u_i\|\^1.75, got"):
            build(settings, lin, net)
    for other in (weights, _Stub(OPERATORS["mixed"])):
        with pytest.raises(ConfigError, match="other than the Laplacian, got 'exact_gram'"):
            exact_gram.build(gram, other, net)
    with pytest.raises(ConfigError, match="linear layers and tanh for exact_gram, got Convolution"):
        exact_gram.build(gram, _Stub(OPERATORS["squares"]), Convolution())
    hutchinson.build(signs, weights, net)
    sdgd.build(SDGD(kind="sdgd"), lin, net)


def test_squares_along_directions_are_biased_for_other_powers():
    """Why `hutchinson` refuses p = 1.75: E |v·g|^p is not Σ |g_i|^p."""
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=2)), dtype=torch.float64)
    g = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert float((signs @ g).square().mean()) == pytest.approx(5.0)
    assert float((signs @ g).abs().pow(1.75).mean()) != pytest.approx(1 + 2**1.75, rel=0.01)
