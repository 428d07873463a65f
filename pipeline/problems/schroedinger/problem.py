"""The ground state ψ = exp(u) of an anisotropic harmonic oscillator, in log form, on a ball.

-½ Δψ + ½ Σ ω_i² x_i² ψ = E ψ with E = ½ Σ ω_i becomes ½ (Δu + |∇u|²) = ½ Σ ω_i² x_i² - E, solved by
u = -½ Σ ω_i x_i². The frequencies are uniform on (0.5, 1.5) from `coefficient_seed`, shifted to
mean 1, so that E = d/2; ψ itself would underflow from d ~ 100 on.

The ball has radius R = √d (the ground state lives at |x| ≈ √(d/2)), with the values of ψ on its
sphere: the lowest Dirichlet energy of the ball exceeds E, so there is no other solution. Hard
condition u = -(|x|²/2d) Σ ω_i x_i² + d (1 - |x|²/d) N; the N sought is -Σ ω_i x_i² / 2d. Points:
uniform direction, radius uniform on (0, R). Trivial predictor: C in place of N.
"""

import math
from typing import final

import torch
from torch import Tensor, nn

from pipeline.calculus.functions import Known, Radial
from pipeline.parallel.axes import AxisPartition
from pipeline.parallel.streams import of_coefficients
from pipeline.problems.base import Operator, Reference, Terms, Trial
from pipeline.problems.inseparable import ball
from pipeline.problems.schroedinger import config


@final
class Problem:
    """The boundary-value problem of one configuration on one device."""

    def __init__(self, config: config.Schroedinger, device: torch.device, dtype: torch.dtype):
        self.dim = self.num_inputs = config.dim
        self.device = device
        self.dtype = dtype
        rng = of_coefficients(config.coefficient_seed)
        drawn = rng.uniform(0.5, 1.5, config.dim)
        # Shifted to the mean 1: the energy is d/2 for every draw.
        self.frequencies = torch.from_numpy(drawn - drawn.mean() + 1.0)
        self._omega = self.frequencies.to(device, dtype)
        self.energy = 0.5 * float(self.frequencies.sum())
        self.radius = math.sqrt(config.dim)
        # ½ Δ of (d - |x|²) N has the term -d N.
        self.residual_scale = float(config.dim)
        self.operator = Operator(config.dim, gradient_power=2.0)
        self.factor = Radial(config.dim, self._bump)
        self.offset = Known(self._extension, self._extension_gradient, self._extension_diagonal)

    def sample(self, num_points: int, generator: torch.Generator) -> Tensor:
        """Return (n, d) points: uniform direction, radius uniform on (0, R)."""
        unit = ball(num_points, AxisPartition(self.dim), generator, self.dtype, self.device)
        return self.radius * unit

    sample_test = sample

    def trial(self, network: nn.Module) -> Trial:
        """Return u = A + B N, exact on the sphere."""
        return Trial(network, self.offset, self.factor)

    def source(self, x: Tensor) -> Tensor:
        """Return ½ Σ ω_i² x_i² - E, (n,)."""
        return 0.5 * (x.square() @ self._omega.square()) - self.energy

    def residual(self, x: Tensor, terms: Terms, source: Tensor) -> Tensor:
        """Return ½ (Δu + |∇u|²) - (½ Σ ω_i² x_i² - E), (n,)."""
        assert terms.gradient is not None
        return 0.5 * (terms.second + terms.gradient) - source

    def reference(self, x: Tensor) -> Reference:
        """Return the exact solution -½ Σ ω_i x_i²."""
        return Reference(-0.5 * self._form(x))

    def trivial(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return A and B: a network that is constant has learnt nothing of x."""
        return self.offset(x), self.factor(x)

    def ray(self, radius: Tensor, generator: torch.Generator) -> Tensor:
        """Return the points at `radius` times R along a random direction."""
        direction = self.sample(1, generator)
        ray: Tensor = radius[:, None] * self.radius * direction / torch.linalg.norm(direction)
        return ray

    def description(self) -> dict[str, Tensor]:
        """Return the frequencies in float64."""
        return {"frequencies": self.frequencies}

    def _bump(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # d - s = R² - |x|², of order d: N is of order one.
        return self.dim - s, -torch.ones_like(s), torch.zeros_like(s)

    def _form(self, x: Tensor) -> Tensor:
        return x.square() @ self._omega

    # A = -(|x|²/2d) F with F = Σ ω_i x_i²: the solution on the sphere, where |x|² = d.
    def _extension(self, x: Tensor) -> Tensor:
        return -(0.5 / self.dim) * x.square().sum(1) * self._form(x)

    def _extension_gradient(self, x: Tensor) -> Tensor:
        square, form = x.square().sum(1, keepdim=True), self._form(x)[:, None]
        # ∂_i F = 2 ω_i x_i and ∂_i |x|² = 2 x_i.
        return -(1.0 / self.dim) * x * (form + square * self._omega)

    def _extension_diagonal(self, x: Tensor) -> Tensor:
        square, form = x.square().sum(1, keepdim=True), self._form(x)[:, None]
        return -(1.0 / self.dim) * (form + (4.0 * x.square() + square) * self._omega)
