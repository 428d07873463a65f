"""The log-density u = log p of an Ornstein–Uhlenbeck process, by its Fokker–Planck equation.

dX = -X dt + √2 dW on t in (0, 1) from X_0 normal with mean m_i and variance s_i has p_t = ∇·(x p) +
Δp; densities underflow from d ~ 100 on, so the equation is solved for u = log p:

    u_t = Δu + |∇u|² + x·∇u + d,
    u = Σ_i -(x_i - m_i(t))² / (2 s_i(t)) - ½ log(2π s_i(t)),
    m_i(t) = m_i e^{-t},  s_i(t) = 1 + (s_i - 1) e^{-2t}.

m_i are normal and s_i uniform on (0.5, 1.5), from `coefficient_seed`. Hard initial condition u =
log p_0 + d t N, which keeps N of order one. Points: t uniform on (0, 1) and x of the law p(t, ·).
Trivial predictor: log p_0 + C t. Source: Risken, The Fokker–Planck Equation (1989), ch. 5; in log
form Hu, Zhang, Karniadakis, Kawaguchi, arXiv:2402.07465.
"""

import math
from typing import final

import torch
from torch import Tensor

from pipeline.calculus.directions import Dense, Directions
from pipeline.calculus.functions import Known, time_factor
from pipeline.parallel.streams import of_coefficients
from pipeline.problems.base import Operator, Reference, Terms
from pipeline.problems.evolution import Evolution
from pipeline.problems.fokker_planck import config


@final
class Problem(Evolution):
    """The initial value problem of one configuration on one device."""

    shown_time = 1.0

    def __init__(self, config: config.FokkerPlanck, device: torch.device, dtype: torch.dtype):
        super().__init__(config.dim, device, dtype)
        rng = of_coefficients(config.coefficient_seed)
        self.coefficients = {
            "means": torch.from_numpy(rng.standard_normal(config.dim)),
            "variances": torch.from_numpy(rng.uniform(0.5, 1.5, config.dim)),
        }
        self._mean, self._variance = (part.to(device, dtype) for part in self.coefficients.values())
        self.radius = math.sqrt(config.dim)
        # B = d t: u_t has the term d N.
        self.residual_scale = float(config.dim)
        self.operator = Operator(config.dim, drift=self.drift, gradient_power=2.0)
        self.offset = Known(self._start, self._start_gradient, self._start_diagonal)
        like = torch.empty(0, device=device, dtype=dtype)
        self.factor = time_factor(config.dim, float(config.dim), None, like)

    def moments(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and variances at times (n, 1), both (n, d)."""
        decay = torch.exp(-time)
        mean, variance = self._mean.to(time.device), self._variance.to(time.device)
        return mean * decay, 1.0 + (variance - 1.0) * decay.square()

    def sample(self, num_points: int, generator: torch.Generator) -> Tensor:
        """Return (n, d+1) points: t uniform on (0, 1), then x of the process at t."""
        time = self.times(num_points, generator, 1.0)
        mean, variance = self.moments(time)
        return self.points(mean + variance.sqrt() * self.normal(num_points, generator), time)

    def drift(self, x: Tensor) -> Directions:
        """Return the direction (x, -1): x·∇u - u_t."""
        direction = x.clone()
        # x·∇u and -u_t in one direction, time being the last coordinate.
        direction[:, self.dim] = -1.0
        return Dense(direction.unsqueeze(1))

    def source(self, x: Tensor) -> Tensor:
        """Return -d, (n,)."""
        return torch.full_like(x[:, 0], -float(self.dim))

    def residual(self, x: Tensor, terms: Terms, source: Tensor) -> Tensor:
        """Return Δu + |∇u|² + x·∇u - u_t + d, (n,)."""
        assert terms.drift is not None and terms.gradient is not None
        return terms.second + terms.gradient + terms.drift - source

    def reference(self, x: Tensor) -> Reference:
        """Return the exact log-density."""
        mean, variance = self.moments(x[:, self.dim :])
        return Reference(_log_density(x[:, : self.dim], mean, variance))

    def description(self) -> dict[str, Tensor]:
        """Return means and variances at t = 0 in float64."""
        return self.coefficients

    def _start(self, x: Tensor) -> Tensor:
        return _log_density(x[:, : self.dim], self._mean, self._variance)

    def _start_gradient(self, x: Tensor) -> Tensor:
        slope = (self._mean - x[:, : self.dim]) / self._variance
        # The log-density at t = 0 does not depend on time.
        return torch.nn.functional.pad(slope, (0, 1))

    def _start_diagonal(self, x: Tensor) -> Tensor:
        # Of a normal density the Hessian is that of its exponent: the same at all points.
        bend = (-1.0 / self._variance).expand(len(x), -1)
        return torch.nn.functional.pad(bend, (0, 1))


def _log_density(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    # Logarithms are summed: the product over d axes would underflow.
    exponent = (x - mean).square() / variance + torch.log(2.0 * math.pi * variance)
    return -0.5 * exponent.sum(1)
