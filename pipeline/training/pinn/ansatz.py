"""The trial function around a model: its network inside, its polynomial among the known parts."""

from torch import nn

from pipeline.networks.polynomial import parts
from pipeline.problems.base import Problem, Trial


def ansatz(problem: Problem, model: nn.Module) -> Trial:
    """Return the trial function of `problem` with the polynomial's derivatives in closed form."""
    network, polynomial = parts(model)
    trial = problem.trial(network)
    return trial if polynomial is None else trial.plus(polynomial.known())
