"""Monte Carlo of the Cole–Hopf formula for a terminal value that is the log of a quadratic form.

u_t + Δu - μ|∇u|² = 0, u(T, x) = log(α + β |F x|²) has exp(-μ u) solve the heat equation, so
u(t, x) = -(1/μ) log E (α + β |F(x + s w)|²)^(-μ), w standard normal, s = √(2(T - t)), and

    |F(x + s w)|² = |F x|² + 2 s (F x)·(F w) + s² |F w|².

The draws w are the same for all points (x, t). Everything is summed as logarithms, in float64.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

# Half the width of a 95% interval in standard deviations.
_NORMAL_95 = 1.959963984540054


class Draws(NamedTuple):
    """k draws w: `cross` (n, k) = (F x)·(F w) at each point, `square` (k,) = |F w|²."""

    cross: Tensor
    square: Tensor


def log_mean(
    square: Tensor, s: Tensor, draws: Iterator[Draws], *, mu: float, alpha: float, beta: float
) -> tuple[Tensor, Tensor]:
    """Return u and half the width of its 95% interval, both (n,) float64.

    `square` = |F x|² and `s`, both (n,). The interval is that of the central limit theorem for the
    mean of the powers, carried through the logarithm to first order: with k draws and relative
    variance V of one, 1.96 √(V/k) / μ.
    """
    first = torch.full_like(square, -math.inf)
    second, number = first.clone(), 0
    for cross, own in draws:
        form = square[:, None] + 2.0 * s[:, None] * cross + s.square()[:, None] * own
        # Rounding may take a form that is nearly zero below it.
        exponent = -mu * torch.log(alpha + beta * form.clamp_min(0.0))
        # Sums of the powers and of their squares: E alone may be below the least float at high d.
        first = torch.logaddexp(first, exponent.logsumexp(1))
        second = torch.logaddexp(second, (2.0 * exponent).logsumexp(1))
        number += cross.shape[1]
    # E of the squares over the square of E, less one: from sums as logarithms.
    variance = torch.expm1(second - 2.0 * first + math.log(number)).clamp_min(0.0)
    # The variance of a mean of `number` draws; -(1/μ) log has the slope 1/(μ E).
    width = _NORMAL_95 * (variance / (number - 1)).sqrt() / mu
    return -(first - math.log(number)) / mu, width
