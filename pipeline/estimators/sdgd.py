"""Stochastic dimension gradient descent: the Laplacian from a random subset of the axes."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline import config
from pipeline.errors import ConfigError
from pipeline.estimators import jet
from pipeline.estimators.base import Field, HardConstrained, LaplacianEstimator
from pipeline.estimators.nested import nested_sum


def build(config: config.SDGD) -> LaplacianEstimator:
    """Return the estimator that draws `sampled_axes` axes a call, shared by all points."""
    return SDGD(config.sampled_axes)


@dataclass(frozen=True)
class SDGD:
    """`sampled_laplacian` along axes drawn uniformly without replacement: unbiased."""

    sampled_axes: int

    def __call__(self, u: Field, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return u and an unbiased estimate of Δu at the rows of `x`, both (n,)."""
        axes = draw_axes(x.shape[1], self.sampled_axes, generator)
        return sampled_laplacian(u, x, axes)


def draw_axes(dim: int, num_axes: int, generator: torch.Generator) -> Tensor:
    """Return `num_axes` distinct axes (b,) int64 on the CPU; every subset is equally likely."""
    return torch.randperm(dim, generator=generator)[:num_axes]


def sampled_laplacian(u: Field, x: Tensor, axes: Tensor) -> tuple[Tensor, Tensor]:
    """Return u and an estimate of its Laplacian at each row of `x` from `b` of its `d` axes.

    The estimate is (d/b)·Σ ∂²u/∂x_i² over the axes: unbiased if `axes` is drawn uniformly without
    replacement, exact if b = d. The factor d/b is applied here and nowhere else. Differentiable in
    the parameters of u by one backward pass. For an MLP with a hard constraint the sum comes from
    collapsed jets (b + 2 forward passes); for any other u from nested forward-mode derivatives.

    Args:
        u: function of points, (n, d) -> (n,), row by row.
        x: points (n, d).
        axes: distinct integers in [0, d), shape (b,).

    Raises:
        ConfigError: an axis is repeated (by name), out of range, or there is none.

    Reference: Hu et al., arXiv:2307.12306.
    """
    dim = x.shape[1]
    _check_axes(axes, dim)
    axes = axes.to(x.device)
    if isinstance(u, HardConstrained) and jet.supports(u.network):
        value, total = _collapsed(u, x, axes)
    else:
        value, total = u(x), nested_sum(u, x, axes)
    return value, (dim / len(axes)) * total


def _collapsed(u: HardConstrained, x: Tensor, axes: Tensor) -> tuple[Tensor, Tensor]:
    """Return u = qN and Σ_i ∂_i²u = q Σ N_ii + 2 Σ q_i N_i + N Σ q_ii, exactly."""
    assert isinstance(u.network, nn.Sequential)
    value, first, second = (part.squeeze(-1) for part in jet.network_jet(u.network, x, axes))
    q = u.problem.boundary_jet(x, axes)
    total = q.value * second + 2.0 * (q.first * first).sum(1) + value * q.second
    return q.value * value, total


def _check_axes(axes: Tensor, dim: int) -> None:
    where = "pipeline.estimators.sdgd.sampled_laplacian: axes: expected"
    if axes.dim() != 1 or not len(axes):
        raise ConfigError(
            f"{where} a non-empty vector, got shape {tuple(axes.shape)}; draw with draw_axes"
        )
    values, counts = torch.unique(axes, return_counts=True)
    if values[0] < 0 or values[-1] >= dim:
        raise ConfigError(
            f"{where} integers in [0, {dim}), got {int(values[0])} to {int(values[-1])};"
            f" draw with draw_axes"
        )
    if len(values) < len(axes):
        repeated = ", ".join(str(int(axis)) for axis in values[counts > 1])
        raise ConfigError(
            f"{where} distinct axes, got axis {repeated} more than once;"
            f" draw without replacement (draw_axes)"
        )
