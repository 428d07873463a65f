"""Hutchinson trace estimation: sums over the axes from random directions in all of space."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pipeline.calculus.directions import Dense
from pipeline.estimators.base import Estimator, require_squares, terms_along
from pipeline.estimators.hutchinson import config
from pipeline.problems.base import Operator, Problem, Terms, Trial


def build(config: config.Hutchinson, problem: Problem, network: nn.Module) -> Estimator:
    """Return the estimator that draws `num_directions` directions a call, shared by all points.

    Raises:
        ConfigError: the gradient term is no sum of squares.
    """
    require_squares(config.kind, problem.operator)
    return Hutchinson(config.num_directions, config.distribution)


@dataclass(frozen=True)
class Hutchinson:
    """Mean of vᵀ σᵀ H σ v and of (v·∇u)² over directions v with E v vᵀ = 1: unbiased.

    σ is √a for weights, 1 for the Laplacian. Rademacher signs give the diagonal of the Hessian
    exactly and err by its off-diagonal part only; normal directions err by both. Collapsed Taylor
    mode, as for axes; but the first layer takes b d products a unit instead of a gather, and n b d
    where the weights a depend on the point.
    Reference: Hu, Shi, Karniadakis, Kawaguchi, Hutchinson trace estimation (2023).
    """

    num_directions: int
    distribution: Literal["rademacher", "gaussian"]

    def draw(self, operator: Operator, generator: torch.Generator) -> Tensor:
        """Return the directions (b, k) of an estimate."""
        shape = (self.num_directions, operator.num_directions)
        if self.distribution == "rademacher":
            # Signs are exact in every type; normal numbers are drawn in the widest and rounded
            # later.
            return 2.0 * torch.randint(0, 2, shape, generator=generator) - 1.0
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def __call__(self, u: Trial, x: Tensor, operator: Operator, drawn: Tensor | None) -> Terms:
        """Return unbiased estimates of the terms at the rows of `x`."""
        assert drawn is not None
        return directed_terms(u, x, operator, drawn)


def directed_terms(u: Trial, x: Tensor, operator: Operator, drawn: Tensor) -> Terms:
    """Return the terms from the directions `drawn` (b, k), each sum over axes as a mean over them.

    k is d, or for mixed derivatives the number of columns of σ.

    The factor 1/b is applied here and nowhere else.
    """
    rows = drawn.to(x).unsqueeze(0)
    if operator.mixed_roots is not None:
        columns = torch.arange(operator.num_mixed, device=x.device)
        # σ v: E σ v vᵀ σᵀ = σ σᵀ = a, the matrix of the second-order term.
        rows = rows @ operator.mixed_roots(x, columns)
    elif operator.root_weights is not None:
        every = torch.arange(operator.dim, device=x.device)
        rows = rows * operator.root_weights(x, every).unsqueeze(1)
    # Directions lie in space: their component in time, the last coordinate, is zero.
    rows = torch.nn.functional.pad(rows, (0, x.shape[1] - operator.dim))
    return terms_along(u, x, operator, Dense(rows), 1.0 / len(drawn))
