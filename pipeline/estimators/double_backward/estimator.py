"""The published baseline: second derivatives of sampled axes by two reverse passes each."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.calculus.directions import Dense
from pipeline.calculus.precision import full_precision
from pipeline.estimators.base import Estimator, powers
from pipeline.estimators.double_backward import config
from pipeline.estimators.sdgd.estimator import draw_axes
from pipeline.problems.base import Operator, Problem, Terms, Trial


def build(config: config.DoubleBackward, problem: Problem, network: nn.Module) -> Estimator:
    """Return the estimator that draws `sampled_axes` axes a call, shared by all points."""
    return DoubleBackward(config.sampled_axes)


@dataclass(frozen=True)
class DoubleBackward:
    """The terms from the axes that SDGD draws, by reverse over reverse mode on all of u: unbiased.

    Cost: b + 1 backward passes recorded for another, each with all m derivatives of which one is
    used. Reference: Hu et al., arXiv:2307.12306.
    """

    sampled_axes: int

    def draw(self, operator: Operator, generator: torch.Generator) -> Tensor:
        """Return the axes (b,) of an estimate."""
        return draw_axes(operator.num_directions, self.sampled_axes, generator)

    def __call__(self, u: Trial, x: Tensor, operator: Operator, drawn: Tensor | None) -> Terms:
        """Return unbiased estimates of the terms at the rows of `x`."""
        assert drawn is not None
        axes = drawn.to(x.device)
        scale = operator.num_directions / len(axes)
        # Points are leaves of a graph of their own: all derivatives go through it.
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            value = u(x)
        # Reverse passes take the types of their forward pass; autocast would round the known parts.
        with torch.enable_grad(), full_precision(x):
            (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
            directions = operator.along(x.detach(), axes)
            if isinstance(directions, Dense):
                vectors = directions.rows.unbind(1)
                # vᵀ H v, by the derivative of v·∇u with v held fixed.
                rows = [(_product(gradient, v, x) * v).sum(1) for v in vectors]
                second = scale * torch.stack(rows, 1).sum(1)
            else:
                # A reverse pass returns a whole row of the Hessian, of which one entry is wanted.
                rows = [_slope(gradient[:, axis], x)[:, axis] for axis in axes]
                squares = directions.squares(x.detach())
                second = scale * (torch.stack(rows, 1) * squares).sum(1)
        drift = None
        if operator.drift is not None:
            drift = operator.drift(x.detach()).along(gradient).squeeze(1)
        power = operator.gradient_power
        # `axes` index the gradient: its term excludes weights and mixed derivatives (`Operator`).
        slopes = None if power is None else scale * powers(gradient[:, axes], power).sum(1)
        return Terms(value, second, drift, slopes)


def _slope(values: Tensor, x: Tensor) -> Tensor:
    # Each value depends on its own point alone: row i of the sum's gradient is that of value i.
    return torch.autograd.grad(values.sum(), x, create_graph=True)[0]


def _product(gradient: Tensor, vector: Tensor, x: Tensor) -> Tensor:
    """Return the Hessian's product with a vector a point, (n, m)."""
    return _slope(gradient * vector, x)
