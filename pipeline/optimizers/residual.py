"""What optimisers that linearise a residual need of a task."""

from typing import Protocol

from torch import Tensor

from pipeline.calculus.functions import Function
from pipeline.optimizers.base import HasLoss
from pipeline.problems.base import Problem, Terms, Trial


class Residual(Protocol):
    """The scaled residual of a problem at the points of a step."""

    problem: Problem

    def points(self, step: int, rank: int, world_size: int) -> Tensor:
        """Return this rank's points of a step, (n, m)."""
        ...

    def estimate(
        self, u: Trial, x: Tensor, step: int, index: int, source: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the residual (n,) estimated from index set `index` of a step, and the source."""
        ...

    def scaled(
        self, x: Tensor, terms: Terms, source: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the residual (n,) from exact or estimated terms, and the source."""
        ...

    def mean_square(
        self, free: Tensor, u: Trial, x: Tensor, step: int, source: Tensor | None
    ) -> Tensor:
        """Return the loss of the run from the residual `free`, with its gradient.

        Without a `source` it is the mean square of `free`, and not a product with other estimates.
        """
        ...


class HasResidual(HasLoss, Protocol):
    """A task whose loss is the mean square of a residual, which optimisers may linearise."""

    residual: Residual

    def with_known(self, known: Function) -> Trial:
        """Return the ansatz of the network alone, `known` in the place of its polynomial."""
        ...
