"""What problems, estimators and training agree on.

An equation L u = f has few terms:

- the second-order term Σ_i a_i(x) ∂_i²u and the gradient term Σ_i |∂_i u|^p, sums over the axes
  i = 0 .. d-1 of space: they take derivatives in d directions and so are estimated;
- in place of the first, mixed derivatives Σ_ij a_ij ∂_i∂_j u with a_ij = Σ_k σ_ik σ_jk: second
  derivatives along the columns σ_k(x), which then stand where the axes do;
- the drift w·∇u along one direction w(x), time derivatives included, which is computed exactly.

A problem says by its `Operator` which terms it has and computes the residual from `Terms`; an
estimator returns exactly those and knows nothing else of the problem.

Shapes: n points, m coordinates (d of space, then time where there is time).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pipeline.calculus.directions import Axes, Dense, Directions, OwnAxes
from pipeline.calculus.functions import Function, Product, Sum
from pipeline.parallel.axes import AxisPartition


@dataclass(frozen=True)
class Operator:
    """The terms of an equation in `dim` axes of space.

    root_weights: (x, index) -> the roots of a_i(x) for the axes of `index`, (n, b); None for 1.
    drift: x -> the direction w(x), one a point; None without the term.
    gradient_power: p, or None without the term. It comes with a_i = 1 only.
    mixed_roots: (x, index) -> the columns σ_k(x) of `index`, (1|n, b, d), with `num_mixed` columns
        in all; None for axes. It comes without weights and gradient term.
    partition: the axes of this process where they are divided; a_i = 1 then.
    """

    dim: int
    root_weights: Callable[[Tensor, Tensor], Tensor] | None = None
    drift: Callable[[Tensor], Directions] | None = None
    gradient_power: float | None = None
    mixed_roots: Callable[[Tensor, Tensor], Tensor] | None = None
    num_mixed: int = 0
    partition: AxisPartition | None = None

    def __post_init__(self) -> None:
        # Directions √a_i e_i serve both terms: weights would enter the gradient term as well.
        assert self.root_weights is None or self.gradient_power is None
        assert self.root_weights is None or self.partition is None
        others = (self.root_weights, self.gradient_power, self.partition)
        assert self.mixed_roots is None or all(other is None for other in others)
        assert (self.mixed_roots is None) == (self.num_mixed == 0)

    @property
    def num_directions(self) -> int:
        """Return the number of second derivatives in the second-order term."""
        return self.num_mixed or self.dim

    def along(self, x: Tensor, index: Tensor) -> Directions:
        """Return √a_i(x) e_i for the axes in `index` (b,), or σ_k(x) for those columns."""
        if self.mixed_roots is not None:
            columns = self.mixed_roots(x, index)
            # σ has no row for time: a direction in space has component 0 there.
            return Dense(torch.nn.functional.pad(columns, (0, x.shape[1] - self.dim)))
        if self.partition is not None:
            # The problem's a_i are 1 here, so that directions have no factors.
            return OwnAxes(index, partition=self.partition)
        return Axes(index, None if self.root_weights is None else self.root_weights(x, index))

    def every_direction(self, x: Tensor) -> Directions:
        """Return the directions of the whole second-order term: of all axes, or columns of σ."""
        return self.along(x, torch.arange(self.num_directions, device=x.device))


class Terms(NamedTuple):
    """What a residual is made of, each (n,); None where the operator has no such term."""

    value: Tensor  # u
    second: Tensor  # Σ_i a_i ∂_i²u or Σ_ij a_ij ∂_i∂_j u
    drift: Tensor | None = None  # w·∇u
    gradient: Tensor | None = None  # Σ_i |∂_i u|^p


@dataclass(frozen=True)
class Trial:
    """The trial function u = A + B N: the conditions on u hold for every network N.

    B vanishes where u is prescribed, and A has the prescribed values. None is A = 0 and B = 1.
    """

    network: nn.Module
    offset: Function | None = None
    factor: Function | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Return u at the rows of `x`, shape (n,)."""
        u: Tensor = self.network(x).squeeze(-1)
        if self.factor is not None:
            u = self.factor(x) * u
        return u if self.offset is None else self.offset(x) + u

    def plus(self, part: Function) -> "Trial":
        """Return A + B (N + P) for a known P = `part`: N stays the network, B P joins A."""
        # A + B (N + P) = (A + B P) + B N.
        known = part if self.factor is None else Product(self.factor, part)
        offset = known if self.offset is None else Sum(self.offset, known)
        return Trial(self.network, offset, self.factor)


class Reference(NamedTuple):
    """What a model is compared with: values (n,), and half the width of their 95% interval (n,).

    The latter is None if the values are exact up to rounding; NaN marks unknown values.
    """

    value: Tensor
    error: Tensor | None = None


class Problem(Protocol):
    """A boundary-value problem on one device, `pipeline.problems.<kind>.problem.Problem`.

    Built from (configuration, device, dtype). `num_inputs` is m; `radius` is the size of a typical
    point; residuals divided by `residual_scale` are of order one for a network of order one.
    """

    num_inputs: int
    radius: float
    residual_scale: float
    operator: Operator

    def sample(self, num_points: int, generator: torch.Generator) -> Tensor:
        """Return training points (n, m), drawn on the generator's device, on the problem's."""
        ...

    def sample_test(self, num_points: int, generator: torch.Generator) -> Tensor:
        """Return test points (at most n, m)."""
        ...

    def trial(self, network: nn.Module) -> Trial:
        """Return the ansatz of this problem around `network`."""
        ...

    def source(self, x: Tensor) -> Tensor:
        """Return the source term f(x), (n,)."""
        ...

    def residual(self, x: Tensor, terms: Terms, source: Tensor) -> Tensor:
        """Return L u - f, (n,): affine in the estimated terms, so unbiased if they are."""
        ...

    def reference(self, x: Tensor) -> Reference:
        """Return the solution at the rows of `x`."""
        ...

    def trivial(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and b, both (n,): the trivial predictor is a + C b with the best constant C."""
        ...

    def ray(self, radius: Tensor, generator: torch.Generator) -> Tensor:
        """Return points (k, m) on a line from the origin of space, at `radius` (k,) in [0, 1].

        In units of the problem's own `radius`, all of them at one time if there is time.
        """
        ...

    def description(self) -> dict[str, Tensor]:
        """Return arrays that determine the problem beside its configuration, to be stored."""
        ...


@runtime_checkable
class InTime(Problem, Protocol):
    """A problem whose last coordinate is time, from 0 to `final_time`."""

    final_time: float
