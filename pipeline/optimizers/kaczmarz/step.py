"""Steps of a polynomial part of the model that make the residual of a batch vanish.

The residual R_i at point x_i depends on P(x) = c + l·x + xᵀ M x by the numbers v_i = P(x_i), the
gradient g_i and the diagonal D_i of the Hessian. With their derivatives δv_i, δg_i, δD_i of R_i,
the derivative of R_i is δv_i in c, b_i = δv_i x_i + δg_i in l, and

    A_i = x_i p_iᵀ + p_i x_iᵀ + 2 diag δD_i,    p_i = δv_i x_i / 2 + δg_i,

in M. The step is the shortest, in the metric that `quadratic_weight` sets, after which the
linearised residuals vanish up to `damping`: with K_ij the inner products of these derivatives it
is the combination of them with coefficients -(K + λ tr K/n)⁻¹ R, from n × n systems however many
parameters there are. For a polynomial and a linear equation this is the block Kaczmarz method
(Needell, Tropp 2014); in general it is energy natural gradient descent in sample space (ENGD-W,
Guzmán-Cordero et al. 2025) and SPRING without momentum (Goldshlager, Abrahamsen, Lin 2024).

Shapes: n points, m coordinates. Cost: four products of n² m and one of n m² numbers.
"""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from pipeline.calculus.functions import Known
from pipeline.networks.polynomial import Polynomial
from pipeline.optimizers.kaczmarz import config


class Values(NamedTuple):
    """A polynomial's value, gradient and Hessian diagonal at points, as leaves of the graph."""

    value: Tensor  # (n,)
    gradient: Tensor  # (n, m)
    diagonal: Tensor  # (n, m)

    @classmethod
    @torch.no_grad()
    def of(cls, polynomial: Polynomial, x: Tensor) -> Self:
        """Return the values at the rows of `x`."""
        gradient = polynomial.gradient(x)
        # P is c + (l + ∇P)·x / 2: one product with M for both.
        value = polynomial.constant + 0.5 * ((gradient + polynomial.linear) * x).sum(-1)
        parts = (value, gradient, polynomial.diagonal(x))
        return cls(*(part.clone().requires_grad_() for part in parts))

    def known(self) -> Known:
        """Return the polynomial as a part of an ansatz at just these points."""
        return Known(lambda _: self.value, lambda _: self.gradient, lambda _: self.diagonal)

    @torch.enable_grad()
    def slopes(self, residual: Tensor) -> Self:
        """Return the derivative of each residual (n,) in the values at its point."""
        # R_i depends on the values at x_i alone, so that one reverse pass of the sum has every
        # derivative. The graph is kept for the loss.
        found = torch.autograd.grad(
            residual.sum(), self, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return type(self)(*found)


@torch.no_grad()
def set_steps(
    polynomial: Polynomial, x: Tensor, residual: Tensor, values: Values, settings: config.Kaczmarz
) -> None:
    """Put minus the step from points `x` (n, m) and `residual` (n,) into the gradients.

    `residual` depends on the polynomial through `values` alone. In the names of the module's
    docstring: `first` holds the b_i, `half` the p_i, `gram` is K and `y` = (K + λ tr K/n)⁻¹ R.
    """
    by_value, by_gradient, by_diagonal = values.slopes(residual)
    inner = x @ x.T
    first = by_value[:, None] * x + by_gradient
    # By the constant, then by the linear part.
    gram = torch.outer(by_value, by_value) + first @ first.T
    half = 0.5 * by_value[:, None] * x + by_gradient
    weight = settings.quadratic_weight or math.sqrt(x.shape[1])
    if polynomial.quadratic is not None:
        # ⟨A_i, A_j⟩ = 2 (x_i·x_j)(p_i·p_j) + 2 (x_i·p_j)(p_i·x_j), and with the diagonals
        # 4 x_iᵀ diag(δD_j) p_i + 4 x_jᵀ diag(δD_i) p_j + 4 δD_i·δD_j: no m × m matrix is formed.
        across, mixed = half @ x.T, (half * x) @ by_diagonal.T
        form = 2.0 * (inner * (half @ half.T) + across * across.T)
        form += 4.0 * (mixed + mixed.T + by_diagonal @ by_diagonal.T)
        gram += weight * form
    # Relative to the mean of the diagonal, so that `damping` has no unit. It bounds the step where
    # points are nearly dependent.
    gram.diagonal().add_(settings.damping * gram.diagonal().mean())
    y = torch.linalg.solve(gram, residual.detach())
    polynomial.constant.grad = y @ by_value
    polynomial.linear.grad = y @ first
    if polynomial.quadratic is not None:
        # Σ y_i A_i = S + Sᵀ + 2 diag(Σ y_i δD_i) with S = Σ y_i x_i p_iᵀ.
        part = weight * (x.T @ (y[:, None] * half))
        part = part + part.T
        part.diagonal().add_(2.0 * weight * (y @ by_diagonal))
        polynomial.quadratic.grad = part
