"""A bound of the error of a trained run from its residual, without its solution.

The theorem is that of `pipeline.problems.stability`. Its means are taken over random points, so
what is returned is an upper confidence limit, not a proved number; the limits are those of the
central limit theorem, asymptotic in the number of points. docs/a_posteriori.md.
"""

import copy
import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pipeline.calculus import jets as collapsed
from pipeline.estimators.exact_gram.estimator import ExactGram
from pipeline.networks.polynomial import parts
from pipeline.problems.base import Problem
from pipeline.problems.stability import Stability
from pipeline.training.pinn.ansatz import ansatz

# One-sided 97.5% for each of two means: both limits hold with 95%.
_QUANTILE = 1.959964
_MOST_POINTS, _MOST_NUMBERS = 500, 2**22


@runtime_checkable
class StableProblem(Problem, Protocol):
    """A problem whose residual bounds the error; its `sample_test` has the law of the theorem."""

    stability: Stability

    def distance(self, x: Tensor) -> Tensor:
        """Return |x|, (n,)."""
        ...


def error_bound(
    problem: StableProblem, model: nn.Module, num_points: int, generator: torch.Generator
) -> dict[str, float]:
    """Return `error_bound` and `relative_error_bound`, 95% upper confidence limits.

    For the error e of the trial function v, the first, b, is of (E e²)^½, the second of
    (E e² / E u²)^½: it is b / (n - b) for a lower limit n of (E v²)^½, and missing where n ≤ b.
    Nothing is returned for a network without a cheap exact Laplacian. `problem` is in float64, as
    is the residual: rounding is not accounted for. Cost: that of `exact_gram` without gradients.
    """
    if not collapsed.supports(parts(model)[0]):
        return {}
    # A copy, because the model goes on in its own precision.
    trial = ansatz(problem, copy.deepcopy(model).double())
    chunk = max(1, min(_MOST_POINTS, _MOST_NUMBERS // problem.num_inputs))
    bounds, norms = [], []
    with torch.no_grad():
        for first in range(0, num_points, chunk):
            x = problem.sample_test(min(chunk, num_points - first), generator)
            terms = ExactGram()(trial, x, problem.operator, None)
            residual = problem.residual(x, terms, problem.source(x))
            weight = problem.stability.weight(problem.distance(x))
            bounds.append(weight * residual.square())
            norms.append(terms.value.square())
    most = math.sqrt(_limit(bounds, 1.0)) * problem.stability.amplification
    least = math.sqrt(max(0.0, _limit(norms, -1.0)))
    # ‖u‖ ≥ ‖v‖ - ‖e‖ ≥ n - b bounds the size of the unknown solution from below.
    relative = {"relative_error_bound": most / (least - most)} if least > most else {}
    return {"error_bound": most} | relative


def _limit(samples: list[Tensor], side: float) -> float:
    """Return the mean of independent samples, `side` times the half width of its interval off."""
    values = torch.cat(samples)
    return float(values.mean() + side * _QUANTILE * values.std() / math.sqrt(len(values)))
