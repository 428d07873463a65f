"""How large the error of a trial function on the unit ball can be, given its residual.

For Δu + g(u) = f with u = 0 on the sphere, let v be C² up to the sphere and vanish on it, with
residual R = Δv + g(v) - f, and let g' ≤ L. In the mean over points of uniform direction and radius
(E below), e = v - u satisfies

    (E e²)^½ ≤ (E h(|x|) R²)^½ / (1 - η L),    η² = 1 / (2d max(4, d - 3)),

    h(r) = r^{d-1} / (2d) ∫_r^1 s^{2-d} (1 - s²/3) ds ≤ η².

With L = 0 there is equality for constant R, at every d. Proof: docs/a_posteriori.md.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stability:
    """The theorem for one dimension d ≥ 2 and one L ≥ 0 with η L < 1."""

    dim: int
    lipschitz: float = 0.0

    def weight(self, radius: Tensor) -> Tensor:
        """Return h at `radius` (n,) in [0, 1], in float64."""
        # r = 0 has no logarithm, and h = 0 there.
        r = radius.double().clamp(torch.finfo(torch.float64).tiny, 1.0)
        return (_part(r, 2, self.dim - 3) - _part(r, 4, self.dim - 5) / 3.0) / (2.0 * self.dim)

    @property
    def amplification(self) -> float:
        """Return 1 / (1 - η L)."""
        least = 2.0 * self.dim * max(4.0, self.dim - 3.0)
        return 1.0 / (1.0 - self.lipschitz / math.sqrt(least))


def _part(r: Tensor, power: int, exponent: int) -> Tensor:
    """Return r^{d-1} ∫_r^1 s^{-1-exponent} ds, with d - 1 = power + exponent."""
    log = r.log()
    if exponent == 0:
        return -(r**power) * log
    # (r^power - r^{d-1}) / exponent without overflow or cancellation.
    if exponent > 0:
        return -(r**power) * torch.expm1(exponent * log) / exponent
    return r ** (power + exponent) * torch.expm1(-exponent * log) / exponent
