"""Hamilton–Jacobi–Bellman equations, backward from a terminal value: u(1, x) = g(x), t in (0, 1).

lqg: u_t + Δu - μ|∇u|² = 0, g = log((1 + |x|²)/2).
rosenbrock: the same equation, g = log(1 + Σ_{i<d} a_i (x_i - x_{i+1})² + b_i x_{i+1}²), a and b
uniform on (0.5, 1.5) from `coefficient_seed`.
lin: u_t + Δu - (1/d) Σ |u_i|^1.75 = -2, g = Σ x_i; u = Σ x_i + 1 - t.

Hard terminal condition u = A + B N with A = g and B = 1 - t, except for lqg. There, as d grows,
|x + √2 W_(1-t)|² in the Cole–Hopf formula is near its mean, and

    A = log((1 + |x|² + 2d(1 - t))/2)

is u up to -(1+μ)/2 times the relative variance of 1 + |x + √2 W|², of order (1+μ)/d: so is B =
(1+μ)/d (1 - t), which makes N of order one. With A = g training ended at relative errors of 0.05 to
0.1, above those of g + C (1 - t): N then holds a function of |x|², a sum over all axes.

Points: x standard normal, t uniform. At high d they lie near |x|² = d, which the paths of √2 W that
start there leave at once; in that shell N_t and ΔN are not told apart, and training may converge to
another function. `points: paths` draws them from such paths: x of variance 1 + 2r, r uniform on (0,
t). Test points keep the published law.

lqg and rosenbrock are compared with a Monte Carlo mean of the Cole–Hopf formula and its 95%
interval (`cole_hopf`); lin is exact, and so is its trivial predictor A + C B: its skill says that
nothing was to be learnt. That of lqg knows the above A: its relative error falls as 1/d.

The gradient terms are nonlinear: Σ |u_i|^p from sampled axes is unbiased for every p, (v·∇u)² for
p = 2, and nothing else that the estimators offer.
Source: Hu et al., arXiv:2307.12306; lqg: E, Han, Jentzen, arXiv:1706.04702.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import final

import numpy as np
import torch
from torch import Tensor

from pipeline.calculus.functions import Affine, Known, Radial, time_factor
from pipeline.parallel.streams import of_coefficients, of_reference
from pipeline.problems.base import Operator, Reference, Terms
from pipeline.problems.evolution import Evolution
from pipeline.problems.hjb import config
from pipeline.problems.hjb.cole_hopf import Draws, log_mean

# Draws held at a time. Part of what `reference_seed` means: the two kinds of numbers of `_radial`
# alternate block by block.
_BLOCK = 256
_LIN_POWER = 1.75


@final
class Problem(Evolution):
    """The terminal value problem of one configuration on one device."""

    shown_time = 0.0

    def __init__(self, config: config.HJB, device: torch.device, dtype: torch.dtype):
        super().__init__(config.dim, device, dtype)
        self.config = config
        self.radius = math.sqrt(config.dim)
        self.residual_scale = (1.0 + config.mu) / config.dim if config.equation == "lqg" else 1.0
        power = _LIN_POWER if config.equation == "lin" else 2.0
        self.operator = Operator(config.dim, drift=self.time_direction, gradient_power=power)
        like = torch.empty(0, device=device, dtype=dtype)
        self.factor = time_factor(config.dim, self.residual_scale, 1.0, like)
        self.form = Rosenbrock.draw(config.dim, config.coefficient_seed)
        match config.equation:
            case "lqg":
                spread = 2.0 * config.dim  # of |√2 W_1|²
                # s = |x|² - 2dt, so that 1 + 2d + s = 1 + |x|² + 2d (1 - t).
                self.offset = Radial(config.dim, partial(_log_square, spread), rate=-spread)
            case "rosenbrock":
                self.offset = self.form.to(like).log_one_plus()
            case "lin":
                weights = torch.ones(config.dim + 1, device=device, dtype=dtype)
                weights[config.dim] = 0.0
                self.offset = Affine(weights)

    def sample(self, num_points: int, generator: torch.Generator) -> Tensor:
        """Return (n, d+1) points: t uniform on (0, 1), x as `config.points` says."""
        if self.config.points == "normal":
            return self.sample_test(num_points, generator)
        time = self.times(num_points, generator, 1.0)
        # √2 W has variance 2r at time r; the start adds 1.
        elapsed = time * self.times(num_points, generator, 1.0)
        space = (1.0 + 2.0 * elapsed).sqrt() * self.normal(num_points, generator)
        return self.points(space, time)

    def sample_test(self, num_points: int, generator: torch.Generator) -> Tensor:
        """Return (n, d+1) points: x standard normal, t uniform on (0, 1)."""
        time = self.times(num_points, generator, 1.0)
        return self.points(self.normal(num_points, generator), time)

    def source(self, x: Tensor) -> Tensor:
        """Return the right-hand side: -2 for lin, else 0."""
        return torch.full_like(x[:, 0], -2.0 if self.config.equation == "lin" else 0.0)

    def residual(self, x: Tensor, terms: Terms, source: Tensor) -> Tensor:
        """Return u_t + Δu - (gradient term) - f, (n,)."""
        assert terms.drift is not None and terms.gradient is not None
        strength = 1.0 / self.dim if self.config.equation == "lin" else self.config.mu
        return terms.drift + terms.second - strength * terms.gradient - source

    def reference(self, x: Tensor) -> Reference:
        """Return the exact solution of lin, else the Monte Carlo mean with its interval."""
        if self.config.equation == "lin":
            return Reference(self.offset(x) + self.factor(x))
        # On the CPU in float64, so that the reference is the same for every device and precision.
        points = x.detach().cpu().double()
        space, s = points[:, : self.dim], (2.0 * (1.0 - points[:, self.dim])).sqrt()
        if self.config.equation == "lqg":
            square, draws, alpha, beta = space.square().sum(1), self._radial(space), 0.5, 0.5
        else:
            image = self.form.image(space)
            square, draws, alpha, beta = image.square().sum(1), self._paths(image), 1.0, 1.0
        value, error = log_mean(square, s, draws, mu=self.config.mu, alpha=alpha, beta=beta)
        return Reference(value.to(x), error.to(x))

    def description(self) -> dict[str, Tensor]:
        """Return the coefficients of rosenbrock in float64."""
        if self.config.equation != "rosenbrock":
            return {}
        return {"differences": self.form.differences, "squares": self.form.squares}

    def _radial(self, space: Tensor) -> Iterator[Draws]:
        """Yield draws for F = 1, by their law: x·w = |x| z and |w|² = z² + χ² with d-1 freedoms.

        So a draw costs two numbers and not d.
        """
        length = space.norm(dim=1)[:, None]
        for rng, count in self._blocks():
            # One z for all points: only the law at each single point counts.
            z = torch.from_numpy(rng.standard_normal(count))
            rest = rng.chisquare(self.dim - 1, count) if self.dim > 1 else np.zeros(count)
            yield Draws(length * z, z.square() + torch.from_numpy(rest))

    def _paths(self, image: Tensor) -> Iterator[Draws]:
        for rng, count in self._blocks():
            drawn = self.form.image(torch.from_numpy(rng.standard_normal((count, self.dim))))
            yield Draws(image @ drawn.T, drawn.square().sum(1))

    def _blocks(self) -> Iterator[tuple[np.random.Generator, int]]:
        rng = of_reference(self.config.reference_seed)
        left = self.config.reference_samples
        while left > 0:
            yield rng, min(left, _BLOCK)
            left -= _BLOCK


class Rosenbrock:
    """The quadratic form Q(x) = Σ_{i<d} a_i (x_i - x_{i+1})² + b_i x_{i+1}² = |F x|²."""

    def __init__(self, differences: Tensor, squares: Tensor):
        self.differences, self.squares = differences, squares  # a and b, (d-1,)
        first = torch.zeros(1, device=differences.device, dtype=differences.dtype)
        # Half of ∂_i²Q. x_i occurs with a_i as the left neighbour, with a_{i-1} and b_{i-1} as the
        # right one.
        self.diagonal = torch.cat([differences, first]) + torch.cat([first, differences + squares])

    @classmethod
    def draw(cls, dim: int, seed: int) -> "Rosenbrock":
        """Return the form with a, then b, uniform on (0.5, 1.5) by PCG64 of `seed`, in float64."""
        rng = of_coefficients(seed)
        a, b = (torch.from_numpy(rng.uniform(0.5, 1.5, dim - 1)) for _ in range(2))
        return cls(a, b)

    def to(self, like: Tensor) -> "Rosenbrock":
        """Return the form on the device and in the type of `like`."""
        return Rosenbrock(self.differences.to(like), self.squares.to(like))

    def image(self, x: Tensor) -> Tensor:
        """Return F x, (n, 2(d-1)), for `x` (n, d)."""
        steps = self.differences.sqrt() * (x[:, :-1] - x[:, 1:])
        return torch.cat([steps, self.squares.sqrt() * x[:, 1:]], 1)

    def half_gradient(self, x: Tensor) -> Tensor:
        """Return ∇Q / 2, (n, d)."""
        steps = self.differences * (x[:, :-1] - x[:, 1:])
        # (x_i - x_{i+1})² has the derivative of its left coordinate, and minus it of its right one.
        ahead = torch.nn.functional.pad(steps, (0, 1))
        behind = torch.nn.functional.pad(self.squares * x[:, 1:] - steps, (1, 0))
        return ahead + behind

    def log_one_plus(self) -> Known:
        """Return log(1 + Q) as a function of points (x, t), with gradient and Hessian diagonal."""
        dim = len(self.diagonal)

        def inner(x: Tensor) -> Tensor:
            return 1.0 + self.image(x[:, :dim]).square().sum(1)

        def gradient(x: Tensor) -> Tensor:
            slope = 2.0 * self.half_gradient(x[:, :dim]) / inner(x)[:, None]
            return torch.nn.functional.pad(slope, (0, 1))

        def diagonal(x: Tensor) -> Tensor:
            # ∂² log f = ∂²f / f - (∂ log f)².
            bend = torch.nn.functional.pad(2.0 * self.diagonal / inner(x)[:, None], (0, 1))
            return bend - gradient(x).square()

        return Known(lambda x: inner(x).log(), gradient, diagonal)


def _log_square(spread: float, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    whole = 1.0 + spread + s
    inverse = 1.0 / whole
    return (0.5 * whole).log(), inverse, -inverse * inverse
