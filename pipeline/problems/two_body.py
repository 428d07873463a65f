"""The inseparable two-body solution on the unit ball, with its source term in closed form.

u(x) = q(x) Σ(x),  q = 1 - |x|²,  Σ = sum_i c_i sin s_i,  s_i = x_i + cos x_{i+1} + x_{i+1} cos x_i,
for i = 1 .. d-1; u vanishes on the sphere. The equation is Δu + g(u) = f with g = 0 (Poisson),
u - u³ (Allen–Cahn) or sin u (Sine-Gordon), and f is computed from u.

Points are uniform in direction and in radius, so x_i ~ 1/√d and Σ is close to the constant
sin(1) Σc at high d: a network that learns one constant C in C(1 - |x|²) already looks accurate.
Hence `zero_sum` coefficients (Σc = 0) and the skill score of `relative_errors`.

Shapes: n points, d coordinates, b sampled axes.
Source: Hu, Shukla, Karniadakis, Kawaguchi, arXiv:2307.12306.
"""

from collections.abc import Iterable
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from pipeline import config


class BoundaryJet(NamedTuple):
    """The factor q and its derivatives along the sampled axes I."""

    value: Tensor  # (n,)
    first: Tensor  # (n, b): ∂q/∂x_i
    second: Tensor  # (n,): sum over I of ∂²q/∂x_i²


class RelativeErrors(NamedTuple):
    """Relative L2 errors of a model and of the best C(1 - |x|²); skill is their quotient."""

    model: float
    trivial: float
    skill: float


@final
class Problem:
    """The boundary-value problem of one configuration on one device."""

    def __init__(self, config: config.TwoBody, device: torch.device, dtype: torch.dtype):
        self.config = config
        self.dim = config.dim
        self.device = device
        self.dtype = dtype
        self.coefficients = draw_coefficients(config)
        self._c = torch.from_numpy(self.coefficients).to(device, dtype)
        # Δ(qN) contains -2dN, which dominates at high d: residual / (2d) ≈ Σ - N, of order one.
        self.residual_scale = 2.0 * config.dim

    def sample(self, num_points: int, generator: torch.Generator) -> Tensor:
        """Return (n, d) points: uniform direction, radius uniform on (0, 1).

        Drawn on the generator's device (a CPU generator gives the same points everywhere) and
        moved to the problem's.
        """
        where, dtype = generator.device, self.dtype
        normal = torch.randn(num_points, self.dim, generator=generator, device=where, dtype=dtype)
        radius = torch.rand(num_points, 1, generator=generator, device=where, dtype=dtype)
        x = normal.mul_(radius / torch.linalg.vector_norm(normal, dim=1, keepdim=True))
        return x.to(self.device)

    def boundary_factor(self, x: Tensor) -> Tensor:
        """Return q = 1 - |x|², shape (n,): zero exactly where u is."""
        return 1.0 - (x * x).sum(-1)

    def boundary_jet(self, x: Tensor, axes: Tensor) -> BoundaryJet:
        """Return q, its slopes -2x_i along `axes` and the sum -2b of its second derivatives."""
        q = self.boundary_factor(x)
        return BoundaryJet(q, -2.0 * x[:, axes], torch.full_like(q, -2.0 * len(axes)))

    def exact(self, x: Tensor) -> Tensor:
        """Return u at the rows of `x`, shape (n,)."""
        a, y = x[:, :-1], x[:, 1:]
        return self.boundary_factor(x) * (torch.sin(a + y.cos() + y * a.cos()) @ self._c)

    def source(self, x: Tensor) -> Tensor:
        """Return f = Δu + g(u) of the exact solution, shape (n,). Cost: four sines or cosines of x.

        Δu = q ΔΣ - 4 x·∇Σ - 2d Σ. With subscripts for derivatives of s in its two arguments,
        ΔΣ = sum c [cos s (s_xx + s_yy) - sin s (s_x² + s_y²)].
        """
        cos, sin = x.cos(), x.sin()
        a, y = x[:, :-1], x[:, 1:]
        s = a + cos[:, 1:] + y * cos[:, :-1]
        s_x, s_y = 1.0 - y * sin[:, :-1], cos[:, :-1] - sin[:, 1:]
        cos_s, sin_s = s.cos(), s.sin()
        sigma = sin_s @ self._c
        slope = (cos_s * (a * s_x + y * s_y)) @ self._c
        # s_xx = -y cos x and s_yy = -cos y.
        curvature = -cos_s * (y * cos[:, :-1] + cos[:, 1:]) - sin_s * (s_x * s_x + s_y * s_y)
        q = self.boundary_factor(x)
        laplacian = q * (curvature @ self._c) - 4.0 * slope - 2.0 * self.dim * sigma
        return laplacian + self.nonlinearity(q * sigma)

    def nonlinearity(self, u: Tensor) -> Tensor:
        """Return g(u) of the equation Δu + g(u) = f."""
        match self.config.equation:
            case "poisson":
                return torch.zeros_like(u)
            case "allen_cahn":
                return u - u**3
            case "sine_gordon":
                return u.sin()

    def residual(self, u: Tensor, laplacian_u: Tensor, source: Tensor) -> Tensor:
        """Return Δu + g(u) - f, shape (n,); linear in `laplacian_u`, so unbiased if that is."""
        return laplacian_u + self.nonlinearity(u) - source


def draw_coefficients(config: config.TwoBody) -> np.ndarray:
    """Return c (d-1,) in float64: standard normal by PCG64, centred if `zero_sum`.

    The published seed `coefficient_seed` determines them on every machine.
    """
    rng = np.random.Generator(np.random.PCG64(config.coefficient_seed))
    c = rng.standard_normal(config.dim - 1)
    return c - c.mean() if config.zero_sum else c


def relative_errors(chunks: Iterable[tuple[Tensor, Tensor, Tensor]]) -> RelativeErrors:
    """Return the relative L2 errors of the model and of the best constant over all chunks.

    Each chunk is (exact u, predicted u, q), all (n,). The trivial predictor is Cq with the least
    squares C = <u, q> / <q, q>, fitted on the same points: the error is a lower bound for its kind.
    Skill = trivial / model; at most 1 means that nothing was learnt.
    """
    uu = uq = qq = ee = 0.0
    for exact, predicted, q in chunks:
        u, q = exact.double(), q.double()
        uu += float(u @ u)
        uq += float(u @ q)
        qq += float(q @ q)
        ee += float((predicted.double() - u).square().sum())
    trivial = float(np.sqrt(max(uu - uq * uq / qq, 0.0) / uu))
    model = float(np.sqrt(ee / uu))
    return RelativeErrors(model, trivial, trivial / model if model > 0 else float("inf"))
