"""What an estimator of the Laplacian is, and the function it is applied to.

A module `pipeline.estimators.<kind>` exposes `build(config) -> LaplacianEstimator`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.problems.two_body import Problem

Field = Callable[[Tensor], Tensor]
"""A scalar function of points: (n, d) -> (n,), row by row."""


@dataclass(frozen=True)
class HardConstrained:
    """The trial function u(x) = q(x) N(x): the boundary condition holds for every network N."""

    network: nn.Module
    problem: Problem

    def __call__(self, x: Tensor) -> Tensor:
        """Return u at the rows of `x`, shape (n,)."""
        n: Tensor = self.network(x)
        return self.problem.boundary_factor(x) * n.squeeze(-1)


class LaplacianEstimator(Protocol):
    """Estimates Δu at given points, differentiably in the parameters of u."""

    def __call__(self, u: Field, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return u and the estimate of Δu at the rows of `x` (n, d), both (n,).

        Whatever is random comes from `generator` (on the CPU) and is shared by all rows: workers
        that pass generators of equal state estimate the same operator, so that their residuals,
        and with them the gradients of the squared residuals, may be added.
        """
        ...
