"""Stochastic dimension gradient descent: sums over the axes from a random subset of them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError
from pipeline.estimators.base import Estimator, terms_along
from pipeline.estimators.sdgd import config
from pipeline.problems.base import Operator, Problem, Terms, Trial


def build(config: config.SDGD, problem: Problem, network: nn.Module) -> Estimator:
    """Return the estimator that draws `sampled_axes` axes a call, shared by all points."""
    return SDGD(config.sampled_axes)


@dataclass(frozen=True)
class SDGD:
    """`sampled_terms` along axes drawn uniformly without replacement: unbiased.

    `collapse` is whether the layers of a tanh network may be used; the numbers are the same.
    """

    sampled_axes: int
    collapse: bool = True

    def draw(self, operator: Operator, generator: torch.Generator) -> Tensor:
        """Return the axes (b,) of an estimate."""
        return draw_axes(operator.num_directions, self.sampled_axes, generator)

    def __call__(self, u: Trial, x: Tensor, operator: Operator, drawn: Tensor | None) -> Terms:
        """Return unbiased estimates of the terms at the rows of `x`."""
        assert drawn is not None
        return sampled_terms(u, x, operator, drawn, collapse=self.collapse)


def draw_axes(dim: int, num_axes: int, generator: torch.Generator) -> Tensor:
    """Return `num_axes` distinct axes (b,) int64 on the CPU; every subset is equally likely."""
    # Without replacement: b = d then gives every axis once, and the variance is below that of b
    # independent draws.
    return torch.randperm(dim, generator=generator)[:num_axes]


def sampled_terms(
    u: Trial, x: Tensor, operator: Operator, axes: Tensor, *, collapse: bool = True
) -> Terms:
    """Return the terms of u at each row of `x` from `b` of the `d` axes.

    Sums over the axes become d/b times the sum over `axes`: unbiased if those are drawn uniformly
    without replacement, exact if b = d. The factor d/b is applied here and nowhere else. For mixed
    derivatives d is the number of columns of σ, which `axes` then counts. Differentiable in the
    parameters of u by one backward pass.

    Args:
        u: the trial function.
        x: points (n, m).
        operator: the terms wanted.
        axes: distinct integers in [0, d), shape (b,).
        collapse: see `terms_along`.

    Raises:
        ConfigError: an axis is repeated (by name), out of range, or there is none.

    Reference: Hu et al., arXiv:2307.12306.
    """
    # A compiler sees no numbers to check.
    if not torch.compiler.is_compiling():
        _check_axes(axes, operator.num_directions)
    directions = operator.along(x, axes.to(x.device))
    # Each axis is drawn with probability b/d.
    scale = operator.num_directions / len(axes)
    return terms_along(u, x, operator, directions, scale, collapse=collapse)


def _check_axes(axes: Tensor, dim: int) -> None:
    where = "pipeline.estimators.sdgd.estimator.sampled_terms: axes: expected"
    if axes.dim() != 1 or not len(axes):
        raise ConfigError(
            f"{where} a non-empty vector, got shape {tuple(axes.shape)}; draw with draw_axes"
        )
    listed = axes.tolist()
    if min(listed) < 0 or max(listed) >= dim:
        raise ConfigError(
            f"{where} integers in [0, {dim}), got {min(listed)} to {max(listed)};"
            f" draw with draw_axes"
        )
    if len(set(listed)) < len(listed):
        repeated = ", ".join(str(i) for i in sorted(set(listed)) if listed.count(i) > 1)
        raise ConfigError(
            f"{where} distinct axes, got axis {repeated} more than once;"
            f" draw without replacement (draw_axes)"
        )
