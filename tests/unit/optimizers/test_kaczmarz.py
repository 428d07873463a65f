"""A polynomial beside the network, and the steps that make the residual of a batch vanish."""

import copy

import pytest
import torch
from pydantic import ValidationError

from pipeline.estimators.base import known_terms
from pipeline.estimators.full.estimator import Full
from pipeline.kinds import implementation
from pipeline.networks.polynomial import Polynomial
from pipeline.optimizers.base import Batch
from pipeline.optimizers.kaczmarz import step as kaczmarz
from pipeline.optimizers.kaczmarz.config import Kaczmarz
from pipeline.parallel.world import Alone
from pipeline.training.pinn.ansatz import ansatz
from pipeline.training.pinn.config import PinnRun
from pipeline.training.pinn.task import Task

CPU = torch.device("cpu")
PROBLEMS = {
    "poisson": {"kind": "two_body", "dim": 5, "equation": "poisson"},
    "sine_gordon": {"kind": "two_body", "dim": 5, "equation": "sine_gordon"},
    "squared gradient": {"kind": "hjb", "dim": 5, "equation": "lqg"},
    "power of the gradient": {"kind": "hjb", "dim": 5, "equation": "lin"},
    "weights": {"kind": "black_scholes_barenblatt", "dim": 5},
    "drift": {"kind": "fokker_planck", "dim": 5},
}


def run_of(problem, skip="quadratic", estimator=None, optimizer=None, **train):
    return PinnRun.model_validate(
        {
            "problem": problem,
            "model": {"kind": "mlp", "width": 8, "depth": 3, "skip": skip},
            "estimator": estimator or {"kind": "sdgd", "sampled_axes": 3},
            "train": {
                "num_steps": 20, "batch_size": 6, "num_test_points": 200, "num_workers": 1,
                "optimizer": optimizer or {"kind": "kaczmarz"}, **train,
            },
        }
    )  # fmt: skip


def randomised(task, scale=0.1):
    """Give every parameter a value: zeros would hide terms."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in task.model.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
        quadratic = task.model.polynomial.quadratic
        if quadratic is not None:
            quadratic.copy_(quadratic + quadratic.T)
    return task


def take(task, first, last, state=None):
    parts = task.model, task.optimizer()
    if state is not None:
        for part, content in zip(parts, state, strict=True):
            part.load_state_dict(content)
    losses = [parts[1].update(task, Batch(step, Alone())) for step in range(first, last)]
    return losses, [copy.deepcopy(part.state_dict()) for part in parts]


def residuals(task, x):
    """Return the exact scaled residuals of the model at `x`, from derivatives of all of u."""
    problem = task.problem
    u = problem.trial(task.model)
    terms = Full(chunk=5)(u, x, problem.operator, torch.Generator())
    return problem.residual(x, terms, problem.source(x)) / problem.residual_scale


@pytest.mark.parametrize("degree", [1, 2])
def test_derivatives_of_the_polynomial_are_those_of_autograd(degree):
    torch.manual_seed(0)
    polynomial = Polynomial(4, degree).double()
    for parameter in polynomial.parameters():
        torch.nn.init.normal_(parameter)
    if degree == 2:
        with torch.no_grad():
            polynomial.quadratic.copy_(polynomial.quadratic + polynomial.quadratic.T)
    x = torch.randn(3, 4, dtype=torch.float64)
    point = lambda y: polynomial(y.unsqueeze(0))[0]  # noqa: E731
    hessian = torch.stack([torch.autograd.functional.hessian(point, y) for y in x])
    gradient = torch.stack([torch.autograd.functional.jacobian(point, y) for y in x])
    torch.testing.assert_close(polynomial.gradient(x), gradient)
    torch.testing.assert_close(polynomial.diagonal(x), hessian.diagonal(dim1=1, dim2=2))
    values = kaczmarz.Values.of(polynomial, x)
    torch.testing.assert_close(values.value.detach(), polynomial(x).detach())


@pytest.mark.parametrize("estimator", ["sdgd", "exact_gram", "jet"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_polynomial_enters_the_terms_exactly(name, estimator):
    """With all axes every estimator gives the terms of the sum of network and polynomial."""
    weighted = name in ("weights", "power of the gradient")
    if estimator == "exact_gram" and weighted:
        pytest.skip("exact_gram refuses this operator")
    kind = {"kind": estimator} | ({} if estimator == "exact_gram" else {"sampled_axes": 5})
    task = randomised(Task(run_of(PROBLEMS[name], estimator=kind), 0, CPU))
    x = task.problem.sample(6, torch.Generator().manual_seed(1))
    terms = task.residual.terms(ansatz(task.problem, task.model), x, task.residual.drawn(0, 0))
    mine = task.problem.residual(x, terms, task.problem.source(x)) / task.problem.residual_scale
    torch.testing.assert_close(mine, residuals(task, x), rtol=2e-4, atol=2e-5)


def known_residual(problem, polynomial, part, x):
    """Return the scaled residual of the polynomial alone in the ansatz of the problem."""
    u = problem.trial(polynomial).plus(part)
    terms = known_terms(u.offset, x, problem.operator)
    return problem.residual(x, terms, problem.source(x)) / problem.residual_scale


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_step_is_that_of_the_dense_jacobian(name, degree):
    """W Jᵀ (J W Jᵀ + λ)⁻¹ R with J by autograd, residual by residual, and W by hand."""
    run = run_of(PROBLEMS[name])
    module = implementation(run.problem)
    problem = module.Problem(run.problem, CPU, torch.float64)
    m = problem.num_inputs
    generator = torch.Generator().manual_seed(4)
    polynomial = Polynomial(m, degree).double()
    with torch.no_grad():
        for parameter in polynomial.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
        if degree == 2:
            polynomial.quadratic.copy_(polynomial.quadratic + polynomial.quadratic.T)
    x = problem.sample(4, generator)
    parameters = list(polynomial.parameters())
    dense = known_residual(problem, polynomial, polynomial.known(), x)
    rows = []
    for one in dense:
        found = torch.autograd.grad(one, parameters, retain_graph=True, materialize_grads=True)
        parts = [g if g.dim() < 2 else 0.5 * (g + g.T) for g in found]
        rows.append(torch.cat([part.flatten() for part in parts]))
    jacobian = torch.stack(rows)
    weights = torch.ones(jacobian.shape[1], dtype=torch.float64)
    weights[m + 1 :] = 7.0
    gram = jacobian @ (weights[:, None] * jacobian.T)
    gram += 1e-3 * gram.diagonal().mean() * torch.eye(4)
    expected = weights * (torch.linalg.solve(gram, dense.detach()) @ jacobian)

    values = kaczmarz.Values.of(polynomial, x)
    residual = known_residual(problem, polynomial, values.known(), x)
    torch.testing.assert_close(residual, dense)
    settings = Kaczmarz(kind="kaczmarz", damping=1e-3, quadratic_weight=7.0)
    kaczmarz.set_steps(polynomial, x, residual, values, settings)
    step = torch.cat([parameter.grad.flatten() for parameter in parameters])
    torch.testing.assert_close(step, expected, rtol=1e-8, atol=1e-10)


def test_one_step_makes_the_residuals_of_a_batch_vanish():
    """The equation is linear and there are more coefficients than points."""
    optimizer = {"kind": "kaczmarz", "damping": 1e-7, "network_after": 1.0}
    task = Task(run_of(PROBLEMS["poisson"], optimizer=optimizer, num_steps=1000), 0, CPU)
    x = task.problem.sample(6, torch.Generator().manual_seed(1))
    task.problem.sample = lambda *_: x
    before = residuals(task, x)
    take(task, 0, 1)
    after = residuals(task, x)
    assert float(after.norm()) < 1e-3 * float(before.norm())


def test_the_network_waits_and_then_learns_what_the_polynomial_leaves():
    optimizer = {"kind": "kaczmarz", "network_after": 0.5}
    problem = {"kind": "two_body", "dim": 6, "radius_exponent": 0.5}
    run = run_of(problem, optimizer=optimizer, num_steps=600, batch_size=30, learning_rate=5e-3,
                 estimator={"kind": "exact_gram"})  # fmt: skip
    task = Task(run, 0, CPU)
    x = task.problem.sample(50, torch.Generator().manual_seed(1))
    _, state = take(task, 0, 300)
    assert float(task.model.network(x).abs().max()) == 0.0
    half = task.evaluate(task.model)["relative_l2"]
    again = Task(run, 0, CPU)
    take(again, 300, 600, state)
    assert float(again.model.network(x).abs().max()) > 0.0
    assert again.evaluate(again.model)["relative_l2"] < 0.5 * half


def test_a_resumed_run_continues_bit_for_bit():
    through = take(Task(run_of(PROBLEMS["sine_gordon"]), 0, CPU), 0, 20)[1]
    half = take(Task(run_of(PROBLEMS["sine_gordon"]), 0, CPU), 0, 13)[1]
    resumed = take(Task(run_of(PROBLEMS["sine_gordon"]), 0, CPU), 13, 20, half)[1]
    for name, tensor in through[0].items():
        assert torch.equal(tensor, resumed[0][name]), name


@pytest.mark.slow
def test_steps_learn_quadratic_forms_of_full_rank_that_a_network_cannot_hold():
    """d = 60 with 8 units: the network under Adam ends at the best linear fit, or above."""
    problem = {"kind": "two_body", "dim": 60, "radius_exponent": 0.2}
    common = {"num_steps": 1500, "batch_size": 50, "learning_rate": 1e-3}
    alone = Task(run_of(problem, "none", optimizer={"kind": "adam"}, **common), 0, CPU)
    waiting = {"kind": "kaczmarz", "network_after": 1.0}
    linear = Task(run_of(problem, "linear", optimizer=waiting, **common), 0, CPU)
    quadratic = Task(run_of(problem, "quadratic", optimizer=waiting, **common), 0, CPU)
    errors = []
    for task in (alone, linear, quadratic):
        take(task, 0, 1500)
        errors.append(task.evaluate(task.model)["relative_l2"])
    assert errors[2] < 0.25 * errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"skip": "none"}, "model.skip: expected linear or quadratic"),
        ({"num_workers": 2}, "train.num_workers: expected 1"),
        ({"estimator": {"kind": "full"}}, "estimator.kind: expected one"),
        ({"index_sets": 2}, "train.index_sets: expected 1"),
    ],
)
def test_what_the_steps_cannot_do_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        run_of(PROBLEMS["poisson"], **change)


def test_a_polynomial_is_refused_where_the_equation_has_mixed_derivatives():
    problem = PROBLEMS["weights"] | {"correlation": 0.5}
    with pytest.raises(ValidationError, match=r"model\.skip: expected none with problem\.corr"):
        run_of(problem, "linear")
    run_of(problem | {"correlation": 0.0}, "linear")
