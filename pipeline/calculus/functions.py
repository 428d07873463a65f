"""Known functions of points, with their derivatives along given directions.

They are the A and B of an ansatz A + B N. Where derivatives have a closed form (`closed`), those
along all axes together cost O(n d), so that what A contributes need not be sampled. Values and
derivatives have the precision of the points, under autocast too.

Shapes: n points, m coordinates (d of space, and time as the last one where there is time),
b directions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from pipeline.calculus.directions import Axes, Directions
from pipeline.calculus.eager import is_eager_on_cpu
from pipeline.calculus.precision import full_precision
from pipeline.parallel.axes import AxisPartition

Field = Callable[[Tensor], Tensor]
"""A scalar function of points: (n, m) -> (n,), row by row."""

# Numbers of a temporary, 1 MiB in float32: small enough for the caches.
_BLOCK = 2**18


class Jet(NamedTuple):
    """A function at each point, with its derivatives along b directions."""

    value: Tensor  # (n,)
    slopes: Tensor  # (n, b)
    curvature: Tensor  # (n,): the sum over the directions of the second derivatives


class Function(Protocol):
    """A scalar function of points that can be differentiated twice along directions."""

    @property
    def closed(self) -> bool:
        """Whether derivatives have a closed form."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values at the rows of `x`, (n,)."""
        ...

    def slopes(self, x: Tensor, directions: Directions) -> Tensor:
        """Return the first derivatives along each direction, (n, b)."""
        ...

    def jet(self, x: Tensor, directions: Directions) -> Jet:
        """Return values, slopes and curvature along `directions`."""
        ...


@dataclass(frozen=True)
class Expression:
    """Any function written in torch, by nested forward-mode derivatives."""

    field: Field
    closed: ClassVar[bool] = False

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values at the rows of `x`, (n,)."""
        with full_precision(x):
            return self.field(x)

    def slopes(self, x: Tensor, directions: Directions) -> Tensor:
        """Return the first derivatives, (n, b). Cost: about two evaluations a direction."""
        with full_precision(x):
            return nested_slopes(self.field, x, directions)

    def jet(self, x: Tensor, directions: Directions) -> Jet:
        """Return value, slopes and curvature. Cost: about four evaluations a direction."""
        with full_precision(x):
            first, second = nested_derivatives(self.field, x, directions)
            return Jet(self.field(x), first, second.sum(1))


@dataclass(frozen=True)
class Radial:
    """φ(s), s = |x|² + `rate` t; `profile` maps s to φ, φ', φ'' at s, each (n,).

    x are the first `dim` coordinates, t is the one after them; without it `rate` is 0. Where the
    axes are divided the first coordinates are the own ones, and |x|² is summed over the processes.
    """

    dim: int
    profile: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    rate: float = 0.0
    partition: AxisPartition | None = None
    closed: ClassVar[bool] = True

    def __call__(self, x: Tensor) -> Tensor:
        """Return φ(s), (n,)."""
        return self.profile(self._argument(x))[0]

    def slopes(self, x: Tensor, directions: Directions) -> Tensor:
        """Return 2 φ' (x, rate/2)·v, (n, b)."""
        slope = self.profile(self._argument(x))[1]
        # The gradient of φ(s) is φ' ∇s.
        return 2.0 * slope.unsqueeze(1) * directions.along(self._half_gradient(x))

    def jet(self, x: Tensor, directions: Directions) -> Jet:
        """Return φ, 2 φ' x·v and Σ_v 2 φ' |v|² + 4 φ'' (x·v)²; the v lie in space."""
        value, slope, bend = self.profile(self._argument(x))
        # ∂_v s = 2 x·v and ∂_v² s = 2 |v|² for v in space, then the chain rule for φ(s).
        along = directions.along(x)
        curvature = 2.0 * slope * directions.squares(x).sum(1)
        curvature = curvature + 4.0 * bend * along.square().sum(1)
        return Jet(value, 2.0 * slope.unsqueeze(1) * along, curvature)

    def every_axis(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return φ, c = 2φ' and Δφ of `dim` coordinates in all, (n,) each: the gradient is c x."""
        square = self._argument(x)
        value, slope, bend = self.profile(square)
        dim = self.dim if self.partition is None else self.partition.dim
        # Σ_i (2 φ' + 4 φ'' x_i²); without time, as here, s is |x|².
        return value, 2.0 * slope, 2.0 * dim * slope + 4.0 * bend * square

    def _argument(self, x: Tensor) -> Tensor:
        # A few rows at a time: a temporary of the size of x costs more than the sums.
        rows = max(1, _BLOCK // self.dim) if is_eager_on_cpu(x) else len(x)
        parts = [(part * part).sum(-1) for part in torch.split(x[:, : self.dim], rows)]
        square = parts[0] if len(parts) == 1 else torch.cat(parts)
        if self.partition is not None:
            square = self.partition.rows(square)
        return square + self.rate * x[:, self.dim] if self.rate else square

    def _half_gradient(self, x: Tensor) -> Tensor:
        if x.shape[1] == self.dim:
            return x
        # ∇s / 2 = (x, rate/2): one inner product with it covers directions in space and in time.
        return torch.cat([x[:, : self.dim], torch.full_like(x[:, self.dim :], 0.5 * self.rate)], 1)


@dataclass(frozen=True)
class Affine:
    """constant + weights·x, with `weights` (m,)."""

    weights: Tensor
    constant: float = 0.0
    closed: ClassVar[bool] = True

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values, (n,)."""
        with full_precision(x):
            return x @ self.weights + self.constant

    def slopes(self, x: Tensor, directions: Directions) -> Tensor:
        """Return weights·v, (n, b)."""
        # The gradient is the same everywhere; only weighted directions differ between points.
        return directions.along(self.weights.unsqueeze(0)).expand(len(x), -1)

    def jet(self, x: Tensor, directions: Directions) -> Jet:
        """Return value, slopes and no curvature."""
        return Jet(self(x), self.slopes(x, directions), torch.zeros_like(x[:, 0]))


@dataclass(frozen=True)
class Known:
    """A function given by its value (n,), gradient (n, m) and Hessian diagonal (n, m) at points.

    `diagonal` None stands for a function that is linear in space.
    """

    value: Field
    gradient: Field
    diagonal: Field | None = None
    closed: ClassVar[bool] = True

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values, (n,)."""
        with full_precision(x):
            return self.value(x)

    def slopes(self, x: Tensor, directions: Directions) -> Tensor:
        """Return the gradient's components, (n, b)."""
        with full_precision(x):
            return directions.along(self.gradient(x)).expand(len(x), -1)

    def jet(self, x: Tensor, directions: Directions) -> Jet:
        """Return value, slopes and curvature; along axes, unless it is linear in space."""
        curvature = torch.zeros_like(x[:, 0])
        if self.diagonal is not None:
            if not isinstance(directions, Axes):
                raise NotImplementedError("mixed derivatives of a function known by its diagonal")
            # Along a multiple f e_i the second derivative is f² ∂_i².
            weights = directions.squares(x)
            with full_precision(x):
                curvature = (weights * self.diagonal(x)[:, directions.index]).sum(1)
        return Jet(self(x), self.slopes(x, directions), curvature)


@dataclass(frozen=True)
class Sum:
    """The sum of two functions."""

    first: Function
    second: Function

    @property
    def closed(self) -> bool:
        """Whether both have closed derivatives."""
        return self.first.closed and self.second.closed

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values, (n,)."""
        return self.first(x) + self.second(x)

    def slopes(self, x: Tensor, directions: Directions) -> Tensor:
        """Return the sums of the first derivatives, (n, b)."""
        return self.first.slopes(x, directions) + self.second.slopes(x, directions)

    def jet(self, x: Tensor, directions: Directions) -> Jet:
        """Return the sum of both jets."""
        a, b = self.first.jet(x, directions), self.second.jet(x, directions)
        return Jet(a.value + b.value, a.slopes + b.slopes, a.curvature + b.curvature)


@dataclass(frozen=True)
class Product:
    """The product of two functions."""

    first: Function
    second: Function

    @property
    def closed(self) -> bool:
        """Whether both have closed derivatives."""
        return self.first.closed and self.second.closed

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values, (n,)."""
        return self.first(x) * self.second(x)

    def slopes(self, x: Tensor, directions: Directions) -> Tensor:
        """Return the first derivatives by the product rule, (n, b)."""
        a, b = self.first(x).unsqueeze(1), self.second(x).unsqueeze(1)
        return a * self.second.slopes(x, directions) + b * self.first.slopes(x, directions)

    def jet(self, x: Tensor, directions: Directions) -> Jet:
        """Return the jet by the product rule."""
        a, b = self.first.jet(x, directions), self.second.jet(x, directions)
        slopes = a.value.unsqueeze(1) * b.slopes + b.value.unsqueeze(1) * a.slopes
        # ∂²(ab) = a ∂²b + 2 ∂a ∂b + b ∂²a along each direction, then summed.
        cross = 2.0 * (a.slopes * b.slopes).sum(1)
        return Jet(a.value * b.value, slopes, a.value * b.curvature + cross + b.value * a.curvature)


def time_factor(dim: int, scale: float, final: float | None, like: Tensor) -> Affine:
    """Return scale·t, or scale·(final - t) if `final` is given: zero where u is prescribed."""
    weights = torch.zeros(dim + 1, device=like.device, dtype=like.dtype)
    weights[dim] = scale if final is None else -scale
    return Affine(weights, 0.0 if final is None else scale * final)


def nested_slopes(field: Field, x: Tensor, directions: Directions) -> Tensor:
    """Return the first derivatives of `field` along the directions, (n, b), for any field."""

    def slope(direction: Tensor) -> Tensor:
        first: Tensor = torch.func.jvp(field, (x,), (direction.expand_as(x),))[1]
        return first

    # Directions as a batch: one call of the field for all of them.
    return torch.func.vmap(slope, in_dims=1, out_dims=1)(directions.vectors(x))


def nested_derivatives(field: Field, x: Tensor, directions: Directions) -> tuple[Tensor, Tensor]:
    """Return first and second derivatives of `field` along each direction, both (n, b).

    Exact up to rounding, for any field; differentiable in its parameters. Cost: about four
    evaluations a direction; the tangents take b n m numbers, as does each layer's output b n w.
    """

    def both(direction: Tensor) -> tuple[Tensor, Tensor]:
        tangent = direction.expand_as(x)

        def slope(y: Tensor) -> Tensor:
            first: Tensor = torch.func.jvp(field, (y,), (tangent,))[1]
            return first

        # The outer jvp returns what it differentiates, too: the slope costs nothing more.
        first, second = torch.func.jvp(slope, (x,), (tangent,))[:2]
        return first, second

    return torch.func.vmap(both, in_dims=1, out_dims=1)(directions.vectors(x))
