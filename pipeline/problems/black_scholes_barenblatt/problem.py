"""The Black–Scholes–Barenblatt equation, backward from u(1, x) = |x|².

u_t + ½ σ² Σ x_i² u_ii - r (u - x·∇u) = 0 on t in (0, 1), with σ = 0.4, r = 0.05; the solution is
u = exp((r + σ²)(1 - t)) |x|². With `correlation` ρ > 0 of the assets the second-order term is
½ σ² Σ ρ_ij x_i x_j u_ij, ρ_ij = ρ for i ≠ j, and the solution, without mixed derivatives, the
same. The correlation matrix is that of √(1-ρ) z_i + √ρ z_0, with independent z: one direction for
each asset and one that they share.

Hard terminal condition u = |x|² + d (1 - t) N, which keeps N of order one. Points: t uniform on (0,
1) and x at time t of the process dX = σ diag(X) dW from x_0 = (1, ½, 1, ½, ...), the published
start: x_i = x_{0,i} exp(σ √t z_i - σ² t / 2). Trivial predictor: |x|² + C (1 - t). Source: Raissi,
arXiv:1804.07010.
"""

import math
from typing import final

import torch
from torch import Tensor

from pipeline.calculus.directions import Dense, Directions
from pipeline.calculus.functions import Radial, time_factor
from pipeline.problems.base import Operator, Reference, Terms
from pipeline.problems.black_scholes_barenblatt import config
from pipeline.problems.evolution import Evolution

SIGMA, RATE = 0.4, 0.05


@final
class Problem(Evolution):
    """The terminal value problem of one configuration on one device."""

    shown_time = 0.0

    def __init__(
        self, config: config.BlackScholesBarenblatt, device: torch.device, dtype: torch.dtype
    ):
        super().__init__(config.dim, device, dtype)
        self.start = torch.ones(config.dim, device=device, dtype=dtype)
        self.start[1::2] = 0.5
        self.radius = float(self.start.norm())
        self.residual_scale = float(config.dim)
        self.correlation = config.correlation
        self.operator = (
            Operator(
                config.dim,
                mixed_roots=self.columns,
                num_mixed=config.dim + 1,
                drift=self.drift,
            )
            if config.correlation
            # x_i is a root of a_i = x_i²; the second derivative along it does not see its sign.
            else Operator(config.dim, root_weights=lambda x, index: x[:, index], drift=self.drift)
        )
        # φ(s) = s, which is |x|².
        self.offset = Radial(config.dim, lambda s: (s, torch.ones_like(s), torch.zeros_like(s)))
        like = torch.empty(0, device=device, dtype=dtype)
        self.factor = time_factor(config.dim, float(config.dim), 1.0, like)

    def sample(self, num_points: int, generator: torch.Generator) -> Tensor:
        """Return (n, d+1) points: t uniform on (0, 1), then x log-normal about the start."""
        time = self.times(num_points, generator, 1.0)
        noise = SIGMA * time.sqrt() * self.normal(num_points, generator)
        # With Itô's -σ²t/2, so that X is a martingale: E X = x_0.
        space = self.start.to(noise.device) * torch.exp(noise - 0.5 * SIGMA**2 * time)
        return self.points(space, time)

    def columns(self, x: Tensor, index: Tensor) -> Tensor:
        """Return √(1-ρ) x_i e_i for i = `index` < d, and √ρ x for d, (n, b, d)."""
        space = x[:, : self.dim]
        picked = math.sqrt(1.0 - self.correlation) * space.unsqueeze(1)
        # Row i < d has one entry, at i; the row of `index` d is x itself.
        axes = torch.arange(self.dim, device=x.device)
        own = picked * (index[:, None] == axes).to(x.dtype)
        common = math.sqrt(self.correlation) * space.unsqueeze(1)
        return torch.where((index == self.dim)[:, None], common, own)

    def drift(self, x: Tensor) -> Directions:
        """Return the direction (r x, 1): u_t + r x·∇u."""
        direction = RATE * x
        # Time is the last coordinate: one direction holds u_t and the drift in space.
        direction[:, self.dim] = 1.0
        return Dense(direction.unsqueeze(1))

    def source(self, x: Tensor) -> Tensor:
        """Return zero, (n,)."""
        return torch.zeros_like(x[:, 0])

    def residual(self, x: Tensor, terms: Terms, source: Tensor) -> Tensor:
        """Return u_t + r x·∇u + ½ σ² Σ ρ_ij x_i x_j u_ij - r u, (n,)."""
        assert terms.drift is not None
        return terms.drift + 0.5 * SIGMA**2 * terms.second - RATE * terms.value - source

    def reference(self, x: Tensor) -> Reference:
        """Return the exact solution."""
        # |x|² times e^{cτ}, τ = 1 - t: -c + σ² + 2r - r = 0 gives c = r + σ².
        growth = torch.exp((RATE + SIGMA**2) * (1.0 - x[:, self.dim]))
        return Reference(growth * self.offset(x))
