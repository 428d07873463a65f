"""The residual at points that no step of training uses: how well the equation is solved there.

It needs no exact solution, and is a deterministic function of the parameters: points and index sets
are the same at every evaluation, drawn from the seed of the run.

The square of an estimated residual has the variance of the estimate in its mean, which depends on
the network: it would choose functions that are easy to estimate, not solutions. Here the square of
R is the mean of R_J R_K over all pairs of `index_sets` independent sets, which is unbiased; for an
estimator that draws nothing it is R² itself. Index sets are shared by the points of one of
`NUM_GROUPS` groups only, so that the groups are independent and identically distributed: the spread
of their means is the error from points and index sets together.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.parallel.shares import share
from pipeline.problems.base import Problem

NUM_GROUPS = 16
_CACHE_BYTES = 2**28

Residual = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""(points (n, m), source (n,), generator of the index set) -> estimated residual (n,)."""


class HeldOut:
    """Held-out points of one run; `points(g)` and `axes(g, k)` seed group g and its index sets.

    `num_sets` is 1 for an estimator that draws nothing.
    """

    def __init__(
        self,
        problem: Problem,
        num_points: int,
        num_sets: int,
        points: Callable[[int], torch.Generator],
        axes: Callable[[int, int], torch.Generator],
        device: torch.device,
    ) -> None:
        self._problem, self._num_points, self._num_sets = problem, num_points, num_sets
        self._points, self._axes, self._device = points, axes, device
        # Bytes of all groups' points in float32, as if this rank had them all.
        self._keep = 4 * num_points * problem.num_inputs <= _CACHE_BYTES
        self._drawn: dict[int, Tensor] = {}
        self._sources: dict[int, Tensor] = {}

    @torch.no_grad()
    def squares(self, residual: Residual, rank: int, world_size: int) -> Tensor:
        """Return the mean squared residual of each group, (NUM_GROUPS,) float64.

        Ranks share the groups: those of others are zero, so that the sum over ranks is the whole,
        to the last bit.
        """
        found = torch.zeros(NUM_GROUPS, dtype=torch.float64, device=self._device)
        for group in range(NUM_GROUPS)[share(NUM_GROUPS, rank, world_size)]:
            x = self._group(group)
            source = self._source(group, x)
            # Generators begin anew at each call: index sets are those of the evaluation before.
            estimates = [residual(x, source, self._axes(group, k)) for k in range(self._num_sets)]
            found[group] = unbiased_square(torch.stack(estimates).double()).mean()
        return found

    def _group(self, group: int) -> Tensor:
        if group in self._drawn:
            return self._drawn[group]
        places = range(self._num_points)[share(self._num_points, group, NUM_GROUPS)]
        # By the group alone, whatever rank evaluates it.
        x = self._problem.sample(len(places), self._points(group))
        if self._keep:
            self._drawn[group] = x
        return x

    def _source(self, group: int, x: Tensor) -> Tensor:
        if group not in self._sources:
            self._sources[group] = self._problem.source(x)
        return self._sources[group]


def unbiased_square(estimates: Tensor) -> Tensor:
    """Return the mean of R_j R_k over all pairs j ≠ k of independent estimates: (k, n) -> (n,).

    Unbiased for the square of their common mean, so that it may be negative; R² if k = 1.
    """
    count = len(estimates)
    if count == 1:
        return estimates[0].square()
    # (Σ R_k)² = Σ R_k² + Σ_{j≠k} R_j R_k.
    pairs = estimates.sum(0).square() - estimates.square().sum(0)
    return pairs / (count * (count - 1))
