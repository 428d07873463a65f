"""What problems in d axes of space and time t share: points (x, t), time as the last coordinate."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from pipeline.calculus.directions import Axes, Directions
from pipeline.calculus.functions import Function
from pipeline.problems.base import Reference, Trial


class Evolution(ABC):
    """An initial or terminal value problem; A of the ansatz A + B N has the prescribed values.

    Times lie in (0, `final_time`); reports show u at `shown_time`, the end of the interval
    where u is not prescribed.
    """

    final_time: float = 1.0
    radius: float
    shown_time: float
    offset: Function
    factor: Function

    def __init__(self, dim: int, device: torch.device, dtype: torch.dtype):
        self.dim = dim
        self.num_inputs = dim + 1
        self.device = device
        self.dtype = dtype

    @abstractmethod
    def sample(self, num_points: int, generator: torch.Generator) -> Tensor:
        """Return (n, d+1) training points."""

    @abstractmethod
    def reference(self, x: Tensor) -> Reference:
        """Return the solution at the rows of `x`."""

    def sample_test(self, num_points: int, generator: torch.Generator) -> Tensor:
        """Return test points with the law of the training points."""
        return self.sample(num_points, generator)

    def trial(self, network: nn.Module) -> Trial:
        """Return u = A + B N."""
        return Trial(network, self.offset, self.factor)

    def trivial(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return A and B: a network that is constant has learnt nothing of x and t."""
        return self.offset(x), self.factor(x)

    def ray(self, radius: Tensor, generator: torch.Generator) -> Tensor:
        """Return points at `shown_time` along a random direction, up to the typical radius."""
        # On the CPU, where the generator is, so that the ray is the same on every device.
        direction = torch.randn(self.dim, generator=generator, dtype=self.dtype).to(self.device)
        space = radius[:, None] * direction * (self.radius / direction.norm())
        return torch.cat([space, torch.full_like(radius, self.shown_time)[:, None]], 1)

    def description(self) -> dict[str, Tensor]:
        """Return nothing: the configuration determines the problem."""
        return {}

    def normal(self, num_points: int, generator: torch.Generator) -> Tensor:
        """Return (n, d) standard normal numbers, drawn where the generator is."""
        where = generator.device
        return torch.randn(
            num_points, self.dim, generator=generator, device=where, dtype=self.dtype
        )

    def times(self, num_points: int, generator: torch.Generator, final: float) -> Tensor:
        """Return (n, 1) times, uniform on (0, final), drawn where the generator is."""
        where = generator.device
        return final * torch.rand(
            num_points, 1, generator=generator, device=where, dtype=self.dtype
        )

    def points(self, space: Tensor, time: Tensor) -> Tensor:
        """Return (n, d+1) points on the problem's device."""
        # Time last: `Operator`, networks and estimators know it by its place.
        return torch.cat([space, time], 1).to(self.device)

    def time_direction(self, x: Tensor) -> Directions:
        """Return the direction of time at every point."""
        return Axes(torch.tensor([self.dim], device=x.device))
