"""What an estimator is, and the product rule that turns derivatives of N into those of A + B N.

A module `pipeline.estimators.<kind>.estimator` has `build(config, problem, network) -> Estimator`.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.calculus import jets as collapsed
from pipeline.calculus.directions import Directions
from pipeline.calculus.functions import Field, Function, nested_derivatives, nested_slopes
from pipeline.calculus.jets import NetworkJet
from pipeline.errors import ConfigError
from pipeline.problems.base import Operator, Terms, Trial


class Estimator(Protocol):
    """Estimates the terms of an operator at given points, differentiably in the parameters of u.

    The value and the drift are exact; the sums over the axes are unbiased. An unbiased estimate of
    a residual has a *biased* square: the square's mean has the variance added.
    """

    def draw(self, operator: Operator, generator: torch.Generator) -> Tensor | None:
        """Return the random axes or directions of one estimate, drawn on the CPU, or None."""
        ...

    def __call__(self, u: Trial, x: Tensor, operator: Operator, drawn: Tensor | None) -> Terms:
        """Return the terms at the rows of `x` (n, m): a pure function, which may be compiled.

        What was `drawn` is shared by all rows: workers that drew from generators of equal state
        estimate the same operator, so that their residuals, and with them the gradients of the
        squared residuals, may be added.
        """
        ...


def terms_along(
    u: Trial,
    x: Tensor,
    operator: Operator,
    directions: Directions,
    scale: float,
    *,
    collapse: bool = True,
) -> Terms:
    """Return the terms of u, each sum over axes replaced by `scale` times one over `directions`.

    The directions carry the root weights of the operator. Collapsed jets are used if `collapse`
    and if the network allows them (b + 2 forward passes), otherwise nested forward mode, which
    gives the same numbers. The second-order term of a known offset A is exact where A has closed
    derivatives and there are no mixed derivatives: then only that of B N is estimated.
    """
    drift = None if operator.drift is None else operator.drift(x)
    n = _network_jet(u.network, x, directions, drift, collapse)
    value, slopes, second, along_drift = n.value, n.first, n.second, n.more
    if u.factor is not None:
        # The product rule along each direction: ∂²(B N) = B ∂²N + 2 ∂B ∂N + N ∂²B.
        b = u.factor.jet(x, directions)
        # From here on the terms are those of B N.
        value = b.value * n.value
        if operator.gradient_power is not None:
            slopes = b.value.unsqueeze(1) * n.first + n.value.unsqueeze(1) * b.slopes
        second = b.value * n.second + (2.0 * b.slopes * n.first).sum(1) + n.value * b.curvature
        if drift is not None and n.more is not None:
            # w·∇(B N) = B w·∇N + N w·∇B.
            along_drift = b.value.unsqueeze(1) * n.more
            along_drift = along_drift + n.value.unsqueeze(1) * u.factor.slopes(x, drift)
    # Before A is added, whose part may be exact and then has no factor.
    second = scale * second
    if u.offset is not None:
        value = value + u.offset(x)
        # All columns of σ would take n k m numbers: of mixed terms what A contributes is sampled.
        if u.offset.closed and operator.mixed_roots is None:
            second = second + u.offset.jet(x, operator.every_direction(x)).curvature
        else:
            second = second + scale * u.offset.jet(x, directions).curvature
        if operator.gradient_power is not None:
            slopes = slopes + u.offset.slopes(x, directions)
        if drift is not None and along_drift is not None:
            along_drift = along_drift + u.offset.slopes(x, drift)
    gradient = None
    if operator.gradient_power is not None:
        # From the slopes of all of u: a power of a sum cannot be put together from A and B N.
        gradient = scale * powers(slopes, operator.gradient_power).sum(1)
    return Terms(value, second, None if along_drift is None else along_drift.squeeze(1), gradient)


def known_terms(u: Function, x: Tensor, operator: Operator) -> Terms:
    """Return the exact terms of a function that has closed derivatives, from all axes."""
    jet = u.jet(x, operator.every_direction(x))
    drift = None if operator.drift is None else u.slopes(x, operator.drift(x)).squeeze(1)
    power = operator.gradient_power
    gradient = None if power is None else powers(jet.slopes, power).sum(1)
    return Terms(jet.value, jet.curvature, drift, gradient)


def powers(slopes: Tensor, power: float) -> Tensor:
    """Return |slopes|^power, elementwise."""
    return slopes.square() if power == 2.0 else slopes.abs().pow(power)


def network_field(network: nn.Module) -> Field:
    """Return the network (n, m) -> (n, 1) as a scalar function (n, m) -> (n,)."""

    def field(x: Tensor) -> Tensor:
        value: Tensor = network(x)
        return value.squeeze(-1)

    return field


def require_squares(kind: str, operator: Operator) -> None:
    """Raise unless slopes along arbitrary directions give the gradient term of `operator`.

    Raises:
        ConfigError: E |v·∇u|^p = Σ |∂_i u|^p holds for p = 2 only.
    """
    # Cross terms v_i v_j u_i u_j have mean zero in a square; other powers mix the axes.
    if operator.gradient_power not in (None, 2.0):
        raise ConfigError(
            f"estimator.kind: expected sdgd, taylor, jet, double_backward or full (they take single"
            f" axes) for the gradient term Σ |u_i|^{operator.gradient_power:g}, got {kind!r}, which"
            f" is biased for it; choose one of them"
        )


def _network_jet(
    network: nn.Module,
    x: Tensor,
    directions: Directions,
    drift: Directions | None,
    collapse: bool,
) -> NetworkJet:
    """Return the jet of the network in the type of `x`, whatever its own precision."""
    if collapse and collapsed.supports(network):
        assert isinstance(network, nn.Sequential) and isinstance(network[0], nn.Linear)
        value, slopes = collapsed.first_layer(network[0], x, directions)
        more = None if drift is None else drift.through(network[0].weight)
        jet = collapsed.network_jet(network, value, slopes, more)
    else:
        field = network_field(network)
        first, second = nested_derivatives(field, x, directions)
        more = None if drift is None else nested_slopes(field, x, drift)
        jet = NetworkJet(field(x), first, second.sum(1), more)
    # The network may be in bfloat16; from here on it meets known parts, which are not.
    value, slopes, summed = (part.to(x.dtype) for part in jet[:3])
    return NetworkJet(value, slopes, summed, None if jet.more is None else jet.more.to(x.dtype))
