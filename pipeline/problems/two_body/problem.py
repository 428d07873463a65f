"""The inseparable two-body solution on the unit ball, with its source term in closed form.

u(x) = q(x) Σ(x),  q = 1 - |x|²,  Σ = sum_i c_i sin s_i,  s_i = x_i + cos x_{i+1} + x_{i+1} cos x_i,
for i = 1 .. d-1. Equations, points and coefficients: `inseparable`.

Since x_i ~ 1/√d, Σ is close to the constant sin(1) Σc at high d, and with Σc = 0 to a linear
function. It is summed as sin(1) Σc + sum_i c_i (sin s_i - sin 1), so that float32 keeps the small
part: the sum itself would have lost four digits of seven at d = 100,000.
"""

import math
from typing import final

import torch
from torch import Tensor

from pipeline.calculus.eager import is_eager_on_cpu
from pipeline.parallel.axes import AxisPartition
from pipeline.problems.inseparable import Inseparable
from pipeline.problems.two_body import config

# The series cos x - 1 = Σ x^2i / _COSINE[i] and sin x - x = x Σ x^2i / _SINE[i], i = 1, 2, ...
_MOST_TERMS = 5
_COSINE = [(-1) ** i * math.factorial(2 * i) for i in range(_MOST_TERMS)]
_SINE = [(-1) ** i * math.factorial(2 * i + 1) for i in range(_MOST_TERMS)]


@final
class Problem(Inseparable):
    """The boundary-value problem of one configuration on one device."""

    def __init__(
        self,
        config: config.TwoBody,
        device: torch.device,
        dtype: torch.dtype,
        partition: AxisPartition | None = None,
    ):
        self.num_coefficients = config.dim - 1
        super().__init__(config, device, dtype, partition)
        total = 0.0 if config.zero_sum else float(self.coefficients.sum())
        self._constant = math.sin(1.0) * total

    def exact(self, x: Tensor) -> Tensor:
        """Return u at the rows of `x`, shape (n,)."""
        u: Tensor = self.bump(x) * (self.summed(x, _sigma)[0] + self._constant)
        return u

    def source(self, x: Tensor) -> Tensor:
        """Return f = Δu + g(u) of the exact solution, shape (n,). Cost: four sines or cosines of x.

        Δu = q ΔΣ - 4 x·∇Σ - 2d Σ. With subscripts for derivatives of s in its two arguments,
        ΔΣ = sum c [cos s (s_xx + s_yy) - sin s (s_x² + s_y²)].
        """
        less_constant, slope, curvature = self.summed(x, _sigma_slope_curvature)
        sigma = less_constant + self._constant
        q = self.bump(x)
        laplacian: Tensor = q * curvature - 4.0 * slope - 2.0 * self.dim * sigma
        return laplacian + self.nonlinearity(q * sigma)


def _sigma(x: Tensor, c: Tensor) -> tuple[Tensor]:
    """Return sum c (sin s - sin 1)."""
    cos = _circle(x)[0]
    delta = x[:, :-1] + _shift(x, cos)
    return (_from_one(delta)[0] @ c,)


def _sigma_slope_curvature(x: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return sum c (sin s - sin 1), x·∇Σ and ΔΣ; not differentiable."""
    # Below, operations are in place: passes over (r, w) temporaries cost more than arithmetic.
    a, y = x[:, :-1], x[:, 1:]
    # |s - 1| <= |x| + |y| + y²/2.
    most = _largest(x) if is_eager_on_cpu(x) else math.inf
    cos, sin = _circle(x, most)
    shift = _shift(x, cos)
    sin_s, cos_s = _from_one(a + shift, most * (2.0 + 0.5 * most))
    # s_x = 1 - y sin x and s_y = cos x - sin y.
    s_x = (y * sin[:, :-1]).neg_().add_(1.0)
    s_y = (cos[:, :-1] - sin[:, 1:]).add_(1.0)
    sigma = (sin_s * c).sum(1)
    cos_s.add_(math.cos(1.0)).mul_(c)
    sin_s.add_(math.sin(1.0)).mul_(c)
    slope = (a * s_x).addcmul_(y, s_y).mul_(cos_s).sum(1)
    # s_xx + s_yy = -y cos x - cos y = -(s - x).
    curvature = shift.add_(1.0).mul_(cos_s)
    curvature.addcmul_(s_x.square_().addcmul_(s_y, s_y), sin_s)
    return sigma, slope, -curvature.sum(1)


def _circle(x: Tensor, most: float = math.inf) -> tuple[Tensor, Tensor]:
    """Return cos x - 1 and sin x, each exact to a few units of its own last digit, for |x| <= most.

    By their Taylor series where few terms suffice: a tenth of the time of sine and cosine.
    """
    terms = _num_terms(most, torch.finfo(x.dtype).eps)
    if terms is None:
        # cos x - 1 = -2 sin²(x/2) and sin x = 2 sin(x/2) cos(x/2): nothing cancels.
        half = 0.5 * x
        sin, cos = half.sin(), half.cos()
        return (sin * sin).mul_(-2.0), (sin * cos).mul_(2.0)
    square = x * x
    cos, sin = square / _COSINE[terms], square / _SINE[terms]
    # Horner's scheme in x², in place.
    for i in reversed(range(1, terms)):
        cos.add_(1.0 / _COSINE[i]).mul_(square)
        sin.add_(1.0 / _SINE[i]).mul_(square)
    return cos, sin.mul_(x).add_(x)


def _largest(x: Tensor) -> float:
    low, high = torch.aminmax(x)
    return max(-float(low), float(high))


def _num_terms(most: float, eps: float) -> int | None:
    """Return how many terms in x² give cos x - 1 and sin x / x - 1 for |x| <= most < 1, or None.

    The terms alternate and decrease, so that the first one left out bounds the error: relative to
    cos x - 1 it is 2 x^2m / (2m + 2)!, more than the x^(2m + 2) / (2m + 3)! for sin x.
    """
    if most >= 1.0:
        return None
    errors = ((m, 2.0 * most ** (2 * m) / math.factorial(2 * m + 2)) for m in range(1, _MOST_TERMS))
    return next((m for m, error in errors if error <= 0.5 * eps), None)


def _shift(x: Tensor, cos: Tensor) -> Tensor:
    """Return s - x_i - 1 = cos x_{i+1} - 1 + x_{i+1} cos x_i, from `cos` = cos x - 1."""
    y = x[:, 1:]
    return torch.addcmul(cos[:, 1:], y, cos[:, :-1]) + y


def _from_one(delta: Tensor, most: float = math.inf) -> tuple[Tensor, Tensor]:
    """Return sin s - sin 1 and cos s - cos 1 for s = 1 + `delta`, exact as in `_circle`."""
    cos, sin = _circle(delta, most)
    sin_one, cos_one = math.sin(1.0), math.cos(1.0)
    # Addition theorems, for arguments less 1: no difference of nearly equal numbers is taken.
    return sin_one * cos + cos_one * sin, cos_one * cos - sin_one * sin
