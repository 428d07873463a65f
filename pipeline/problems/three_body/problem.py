"""The inseparable three-body solution on the unit ball, with its source term in closed form.

u(x) = q(x) Σ(x),  q = 1 - |x|²,  Σ = sum_i c_i exp s_i,  s_i = x_i x_{i+1} x_{i+2}, i = 1 .. d-2.
Equations, points and coefficients: `inseparable`.

|s_i| ≤ 3^(-3/2) on the ball, so nothing overflows. At high d s_i ~ d^(-3/2) and Σ is the constant
Σc to many digits; with Σc = 0 it is of size |c| (7 d³)^(-1/2), which `amplitude` takes out, and
cubic. Σ is summed as Σc + sum_i c_i (exp s_i - 1), so that float32 keeps the small part.
"""

from typing import final

import numpy as np
import torch
from torch import Tensor

from pipeline.parallel.axes import AxisPartition
from pipeline.problems.inseparable import Inseparable, draw_coefficients
from pipeline.problems.three_body import config


@final
class Problem(Inseparable):
    """The boundary-value problem of one configuration on one device."""

    def __init__(
        self,
        config: config.ThreeBody,
        device: torch.device,
        dtype: torch.dtype,
        partition: AxisPartition | None = None,
    ):
        self.num_coefficients = config.dim - 2
        c = draw_coefficients(config, self.num_coefficients)
        # Zero up to rounding where the coefficients are centred.
        self._sum = 0.0 if config.zero_sum else float(c.sum())
        # E s² = E r⁶ / d³ to leading order, and E r⁶ = 1/7.
        self.amplitude = float(
            np.hypot(self._sum, np.linalg.norm(c) / (7.0 * config.dim**3) ** 0.5)
        )
        super().__init__(config, device, dtype, partition)

    def exact(self, x: Tensor) -> Tensor:
        """Return u at the rows of `x`, shape (n,)."""
        return self.bump(x) * (self.summed(x, _less_one)[0] + self._sum)

    def source(self, x: Tensor) -> Tensor:
        """Return f = Δu + g(u) of the exact solution, shape (n,). Cost: one exponential of (n, d).

        Δu = q ΔΣ - 4 x·∇Σ - 2d Σ; for s = x y z, x·∇s = 3 s and
        ΔΣ = sum c exp(s) [(y z)² + (x z)² + (x y)²].
        """
        less_one, slope, curvature = self.summed(x, _less_one_slope_curvature)
        sigma = less_one + self._sum
        q = self.bump(x)
        laplacian: Tensor = q * curvature - 12.0 * slope - 2.0 * self.dim * sigma
        return laplacian + self.nonlinearity(q * sigma)


def _less_one(x: Tensor, c: Tensor) -> tuple[Tensor]:
    """Return sum c (exp(s) - 1)."""
    return (torch.expm1(x[:, :-2] * x[:, 1:-1] * x[:, 2:]) @ c,)


def _less_one_slope_curvature(x: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return sum c (exp(s) - 1), sum c exp(s) s = x·∇Σ / 3 and ΔΣ."""
    x_i, y, z = x[:, :-2], x[:, 1:-1], x[:, 2:]
    xy, yz, xz = x_i * y, y * z, x_i * z
    s = xy * z
    less_one = _expm1(s)
    exp = less_one + 1.0
    curvature = (exp * (xy * xy + yz * yz + xz * xz)) @ c
    return less_one @ c, (exp * s) @ c, curvature


def _expm1(s: Tensor) -> Tensor:
    """Return exp(s) - 1. Compiled for a CPU, `torch.expm1` rounds exp(s) and then subtracts."""
    if not torch.compiler.is_compiling():
        # Not exp(s) - 1: s is of size d^(-3/2), and float32 would keep few of its digits.
        return torch.expm1(s)
    # exp(s) - 1 = 2 sinh(s/2) exp(s/2), which does not cancel.
    half = 0.5 * s
    return 2.0 * half.sinh() * half.exp()
