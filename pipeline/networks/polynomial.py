"""A quadratic polynomial of the coordinates, whose derivatives are in closed form."""

import torch
from torch import Tensor, nn

from pipeline.calculus.functions import Known


class Polynomial(nn.Module):
    """P(x) = c + l·x + xᵀ M x with M symmetric, zero at first; `degree` 1 leaves M out.

    At high d the solutions of many equations are, to leading orders in 1/√d, such polynomials. A
    network of h units holds forms of rank h at most, while those of a sum over all axes have rank
    d. Parameters: `constant` (), `linear` (m,), `quadratic` (m, m). Cost: O(n m²), or O(n m).
    """

    def __init__(self, num_inputs: int, degree: int):
        super().__init__()
        self.constant = nn.Parameter(torch.zeros(()))
        self.linear = nn.Parameter(torch.zeros(num_inputs))
        self.quadratic = nn.Parameter(torch.zeros(num_inputs, num_inputs)) if degree == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        """Return P at the rows of `x` (n, m), shape (n,)."""
        if self.quadratic is None:
            return x @ self.linear + self.constant
        # x·(M x + l) in one product with M.
        return ((x @ self.quadratic + self.linear) * x).sum(-1) + self.constant

    def gradient(self, x: Tensor) -> Tensor:
        """Return l + 2 M x, shape (n, m)."""
        if self.quadratic is None:
            return self.linear.expand(len(x), -1)
        # M starts symmetric and gets symmetric steps only, up to rounding: (M + Mᵀ) x = 2 M x.
        return self.linear + 2.0 * (x @ self.quadratic)

    def diagonal(self, x: Tensor) -> Tensor:
        """Return the diagonal of the Hessian 2 M, the same at all points, shape (n, m)."""
        if self.quadratic is None:
            return torch.zeros_like(x)
        return 2.0 * self.quadratic.diagonal().expand(len(x), -1)

    def known(self) -> Known:
        """Return P as a part of an ansatz."""
        return Known(self, self.gradient, None if self.quadratic is None else self.diagonal)


class WithPolynomial(nn.Module):
    """N + P: a network beside a polynomial."""

    def __init__(self, network: nn.Module, polynomial: Polynomial):
        super().__init__()
        self.network = network
        self.polynomial = polynomial

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum at the rows of `x` (n, m), shape (n, 1)."""
        # In this form for models as a whole; ansätze take both parts apart (`parts`).
        total: Tensor = self.network(x) + self.polynomial(x).unsqueeze(-1)
        return total


def parts(model: nn.Module) -> tuple[nn.Module, Polynomial | None]:
    """Return the network of a model and the polynomial beside it."""
    # Estimators differentiate the bare network, and P in closed form.
    if isinstance(model, WithPolynomial):
        return model.network, model.polynomial
    return model, None
