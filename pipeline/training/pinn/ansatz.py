"""The trial function around a model: its network inside, its polynomial among the known parts."""

from torch import nn

from pipeline.networks.polynomial import Polynomial, WithPolynomial
from pipeline.problems.base import Problem, Trial


def parts(model: nn.Module) -> tuple[nn.Module, Polynomial | None]:
    """Return the network of a model and the polynomial beside it."""
    if isinstance(model, WithPolynomial):
        return model.network, model.polynomial
    return model, None


def ansatz(problem: Problem, model: nn.Module) -> Trial:
    """Return the trial function of `problem` with the polynomial's derivatives in closed form."""
    network, polynomial = parts(model)
    trial = problem.trial(network)
    return trial if polynomial is None else trial.plus(polynomial.known())
