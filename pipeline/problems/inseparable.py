"""What the inseparable solutions u = q Σ on the unit ball share; q = 1 - |x|².

The equation is Δu + g(u) = f with g = 0 (Poisson), u - u³ (Allen–Cahn) or sin u (Sine-Gordon); u
vanishes on the sphere and f is computed from u. Points are uniform in direction and in radius.

At high d Σ is close to a constant, and a network that learns one constant C in Cq already looks
accurate: hence coefficients with Σc = 0 (`zero_sum`), and Cq as the trivial predictor.

Source: Hu, Shukla, Karniadakis, Kawaguchi, arXiv:2307.12306.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.calculus.eager import is_eager_on_cpu
from pipeline.calculus.functions import Radial
from pipeline.parallel.axes import AxisPartition
from pipeline.parallel.streams import of_coefficients
from pipeline.parallel.tiles import normal_columns
from pipeline.problems.base import Operator, Reference, Terms, Trial
from pipeline.problems.settings import Inseparable as Config
from pipeline.problems.stability import Stability

# Numbers of an intermediate result that stay in cache (measured from 100 to 100,000 axes), and
# those that keep a GPU busy or, compiled, are not kept at all.
_BLOCK, _MOST = 2**17, 2**24


class Inseparable(ABC):
    """The boundary-value problem of one configuration on one device, or on the axes of a partition.

    With a `partition` points have shape (n, own axes + neighbours that the last of them needs), and
    results are those of this process's share of the points (`pipeline.parallel.axes`).
    `amplitude` is the size of Σ at a typical point: u = amplitude q N.
    """

    radius = 1.0
    amplitude = 1.0
    num_coefficients: int

    def __init__(
        self,
        config: Config,
        device: torch.device,
        dtype: torch.dtype,
        partition: AxisPartition | None = None,
    ):
        self.config = config
        self.dim = self.num_inputs = config.dim
        self.partition = partition or AxisPartition(config.dim)
        self.device = device
        self.dtype = dtype
        self.coefficients = draw_coefficients(config, self.num_coefficients)
        # All are drawn everywhere, and the slice ends with them: the last axes begin no term.
        own = self.coefficients[self.partition.first : self.partition.last]
        self._c = torch.from_numpy(own).to(device, dtype)
        self.operator = Operator(self.dim, partition=partition)
        # 1 - 3u² and cos u are at most 1.
        self.stability = Stability(self.dim, 0.0 if config.equation == "poisson" else 1.0)
        self.bump = Radial(self.partition.num_axes, partial(_bump, 1.0), partition=partition)
        self.factor = Radial(
            self.partition.num_axes, partial(_bump, self.amplitude), partition=partition
        )
        # Δ(qN) contains -2dN, which dominates at high d: residual / (2d) ≈ Σ - N.
        self.residual_scale = 2.0 * config.dim * self.amplitude

    @abstractmethod
    def exact(self, x: Tensor) -> Tensor:
        """Return u at the rows of `x`, shape (n,)."""

    @abstractmethod
    def source(self, x: Tensor) -> Tensor:
        """Return f = Δu + g(u) of the exact solution, shape (n,)."""

    def sample(self, num_points: int, generator: torch.Generator) -> Tensor:
        """Return (n, d) points: uniform direction, radius U^`radius_exponent`.

        Drawn on the generator's device (a CPU generator gives the same points everywhere) and
        moved to the problem's.
        """
        return self._ball(num_points, generator, self.config.radius_exponent)

    def sample_test(self, num_points: int, generator: torch.Generator) -> Tensor:
        """Return (n, d) points with radius uniform on (0, 1), as published."""
        return self._ball(num_points, generator, 1.0)

    def _ball(self, num_points: int, generator: torch.Generator, exponent: float) -> Tensor:
        bodies = self.config.bodies
        where = self.device
        return ball(num_points, self.partition, generator, self.dtype, where, exponent, bodies - 1)

    def trial(self, network: nn.Module) -> Trial:
        """Return u = amplitude q N, zero on the sphere."""
        return Trial(network, None, self.factor)

    def residual(self, x: Tensor, terms: Terms, source: Tensor) -> Tensor:
        """Return Δu + g(u) - f, shape (n,)."""
        return terms.second + self.nonlinearity(terms.value) - source

    def reference(self, x: Tensor) -> Reference:
        """Return the exact solution."""
        return Reference(self.exact(x))

    def trivial(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return 0 and q: a multiple of q has learnt nothing but the boundary."""
        q = self.bump(x)
        return torch.zeros_like(q), q

    def ray(self, radius: Tensor, generator: torch.Generator) -> Tensor:
        """Return the points at `radius` along a random direction, the last on the sphere."""
        # A point of the ball, whose direction is uniform.
        direction = self.sample(1, generator)
        ray: Tensor = radius[:, None] * direction / self.distance(direction)
        return ray

    def distance(self, x: Tensor) -> Tensor:
        """Return |x|, (n,)."""
        own = torch.linalg.vector_norm(x[:, : self.partition.num_axes], dim=1)
        return self.partition.rows(own.square_()).sqrt_()

    def description(self) -> dict[str, Tensor]:
        """Return the coefficients c in float64."""
        return {"coefficients": torch.from_numpy(self.coefficients)}

    def summed(self, x: Tensor, inner: Callable[[Tensor, Tensor], tuple[Tensor, ...]]) -> Tensor:
        """Return k sums over i at each point, (k, n), added up in blocks that stay in cache.

        `inner` is called with some points (r, w + bodies - 1) and the c (w,) of w consecutive i;
        it returns the k sums over those i, tensors (r,).
        """
        block = _BLOCK if is_eager_on_cpu(x) else _MOST
        # Blocks of about `block` numbers: as many axes as fit, then as many points.
        width = max(1, min(block, len(self._c)))
        coefficients = torch.split(self._c, width)
        rows = []
        for points in torch.split(x, max(1, block // width)):
            parts = [
                # The terms of w axes reach into the next `bodies - 1` coordinates. Those at the end
                # begin no term, so that there may be one start more than blocks of coefficients.
                torch.stack(inner(points[:, i : i + len(c) + self.config.bodies - 1], c))
                for i, c in zip(range(0, x.shape[1], width), coefficients, strict=False)
            ]
            rows.append(parts[0] if len(parts) == 1 else torch.stack(parts).sum(0))
        # Points first, because `rows` shares them out.
        total: Tensor = self.partition.rows(torch.cat(rows, 1).T)
        return total.T

    def nonlinearity(self, u: Tensor) -> Tensor:
        """Return g(u) of the equation Δu + g(u) = f."""
        match self.config.equation:
            case "poisson":
                return torch.zeros_like(u)
            case "allen_cahn":
                return u - u**3
            case "sine_gordon":
                return u.sin()


def _bump(amplitude: float, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return amplitude * (1.0 - s), torch.full_like(s, -amplitude), torch.zeros_like(s)


def ball(
    num_points: int,
    partition: AxisPartition,
    generator: torch.Generator,
    dtype: torch.dtype,
    device: torch.device,
    exponent: float = 1.0,
    num_neighbours: int = 0,
) -> Tensor:
    """Return the own axes of points of the unit ball: uniform direction, radius U^exponent.

    `num_neighbours` further axes follow where there are as many. Shape (n, axes), drawn where the
    generator is and moved to `device`, where sums over processes are taken.
    """
    last = min(partition.last + num_neighbours, partition.dim)
    # A normal vector over its length is uniform on the sphere.
    x = normal_columns(num_points, partition.dim, generator, dtype, partition.first, last).to(
        device
    )
    square = torch.linalg.vector_norm(x[:, : partition.num_axes], dim=1).square_()
    # Complete on every process: each scales its coordinates of all points.
    length = partition.total(square).sqrt()[:, None]
    where = generator.device
    radius = torch.rand(num_points, 1, generator=generator, device=where, dtype=dtype).to(device)
    if exponent != 1.0:
        radius.pow_(exponent)
    return x.mul_(radius / length)


def draw_coefficients(config: Config, number: int) -> np.ndarray:
    """Return c (number,) in float64: standard normal by PCG64, centred if `zero_sum`.

    The published seed `coefficient_seed` determines them on every machine.
    """
    rng = of_coefficients(config.coefficient_seed)
    c = rng.standard_normal(number)
    return c - c.mean() if config.zero_sum else c
