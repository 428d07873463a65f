"""Collapsed Taylor jets of tanh networks: value, slopes along b directions, summed curvature.

A jet of z along directions v in V is (z, ∂_v z for v in V, S = sum over V of ∂_v² z). Linear layers
act on the three parts alike, and for h = tanh z, with g = 1 - h²,

    ∂_v h = g ∂_v z,    S_h = g (S_z - 2 h sum_v (∂_v z)²),

so the b second derivatives need one tensor, not b. Along basis vectors the slopes after the first
linear layer are columns of its weight, shared by all points. Cost: b + 2 forward passes.

Shapes: n points, m coordinates, b directions, w units; "1|n" is 1 where all points share.
Source: Dangel et al., "Collapsing Taylor mode automatic differentiation" (2025);
for single axes Shi, Hu, Lin, Kawaguchi, STDE (NeurIPS 2024).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pipeline.estimators.gemm import linear, product
from pipeline.problems.directions import Dense, Directions, OwnAxes
from pipeline.problems.shard import AxesLinear


class NetworkJet(NamedTuple):
    """A network at each point, (n,), with derivatives along b directions and k more."""

    value: Tensor  # (n,)
    first: Tensor  # (n, b)
    second: Tensor  # (n,): the sum over the b directions of the second derivatives
    more: Tensor | None  # (n, k): first derivatives only


class _Layer(NamedTuple):
    value: Tensor  # (n, w)
    first: Tensor  # (1|n, b, w)
    second: Tensor  # (n, w)
    more: Tensor | None  # (1|n, k, w)


def supports(network: object) -> bool:
    """Whether `network` is an `nn.Sequential` of Linear and Tanh that starts with a Linear."""
    return (
        isinstance(network, nn.Sequential)
        and len(network) > 0
        and type(network[0]) in (nn.Linear, AxesLinear)
        and all(type(layer) in (nn.Linear, nn.Tanh) for layer in list(network)[1:])
    )


def first_layer(layer: nn.Linear, x: Tensor, directions: Directions) -> tuple[Tensor, Tensor]:
    """Return its value W x + c at `x` (n, m), (n, w), and its slopes W v, (1|n, b, w)."""
    is_low = torch.is_autocast_enabled(x.device.type)
    if isinstance(layer, AxesLinear):
        if is_low:
            return layer(x), directions.through(layer.weight)
        assert isinstance(directions, OwnAxes)
        _, place = layer.shard.own(directions.index)
        part, columns = _ValueColumns.apply(layer.own(x), layer.weight, None, place)  # type: ignore[no-untyped-call]
        return layer.shard.rows(part) + layer.bias, directions.spread(columns).unsqueeze(0)
    if is_low or isinstance(directions, Dense) or layer.bias is None:
        return linear(x, layer.weight, layer.bias), directions.through(layer.weight)
    value, columns = _ValueColumns.apply(x, layer.weight, layer.bias, directions.index)  # type: ignore[no-untyped-call]
    columns = columns.unsqueeze(0)
    factor = directions.factor
    return value, columns if factor is None else factor.unsqueeze(-1) * columns


def network_jet(
    network: nn.Sequential, value: Tensor, first: Tensor, more: Tensor | None = None
) -> NetworkJet:
    """Return the jet of a network that `supports` accepts, from that of its first layer.

    `value` (n, w); `first` (1|n, b, w) and `more` (1|n, k, w) are slopes: W v for each direction
    v. Differentiable once (reverse mode) in the parameters; exact up to rounding.
    """
    layers = iter(network)
    next(layers)
    if more is not None:
        more = more.to(value.dtype)
    jet = _Layer(value, first.to(value.dtype), torch.zeros_like(value), more)
    for layer in layers:
        jet = _tanh(jet) if isinstance(layer, nn.Tanh) else _linear(layer, jet)
    slopes = jet.first.squeeze(-1).expand(len(value), -1)
    extra = None if jet.more is None else jet.more.squeeze(-1).expand(len(value), -1)
    return NetworkJet(jet.value.squeeze(-1), slopes, jet.second.squeeze(-1), extra)


def _linear(layer: nn.Module, jet: _Layer) -> _Layer:
    assert isinstance(layer, nn.Linear)
    return _Layer(
        linear(jet.value, layer.weight, layer.bias),
        linear(jet.first, layer.weight),
        linear(jet.second, layer.weight),
        None if jet.more is None else linear(jet.more, layer.weight),
    )


def _tanh(jet: _Layer) -> _Layer:
    value, first, second = _TanhJet.apply(*jet[:3])  # type: ignore[no-untyped-call]
    more = None if jet.more is None else (1.0 - value * value).unsqueeze(1) * jet.more
    return _Layer(value, first, second, more)


class _ValueColumns(torch.autograd.Function):
    """W x + c and columns of W, with the gradient of W by both in one tensor of its size.

    Recorded operations would add two such tensors, one of them zero but for the columns; at
    d = 100,000 each is 51 MB.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, index: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, weight, index)
        return product(x, weight, bias), weight[:, index].T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None]:
        x, weight, index = ctx.saved_tensors
        grad_value, grad_columns = grads
        grad_weight = product(grad_value.T, x.T)
        grad_weight.index_add_(1, index, grad_columns.T)
        grad_x = product(grad_value, weight.T) if ctx.needs_input_grad[0] else None
        grad_bias = grad_value.sum(0) if ctx.needs_input_grad[2] else None
        return grad_x, grad_weight, grad_bias, None


class _TanhJet(torch.autograd.Function):
    """The tanh rule with its gradient by hand: half the passes over the slopes of recorded ops."""

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, first: Tensor, second: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        h = value.tanh()
        g = 1.0 - h * h
        squares = (first * first).sum(1)
        curvature = second - 2.0 * h * squares
        ctx.save_for_backward(h, g, first, squares, curvature)
        return h, g.unsqueeze(1) * first, g * curvature

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h, g, first, squares, curvature = ctx.saved_tensors
        grad_h, grad_first, grad_second = grads
        grad_curvature = g * grad_second
        grad_squares = -2.0 * h * grad_curvature
        grad_g = (first * grad_first).sum(1) + curvature * grad_second
        # g = 1 - h² and dh/dz = g.
        grad_value = g * (grad_h - 2.0 * (squares * grad_curvature + h * grad_g))
        through_slopes = g.unsqueeze(1) * grad_first
        if first.shape[0] == 1:
            # Slopes shared by all points: sum over the points before the second product.
            through_squares = 2.0 * first * grad_squares.sum(0)
            return grad_value, through_slopes.sum(0, keepdim=True) + through_squares, grad_curvature
        through_slopes.addcmul_(first, grad_squares.unsqueeze(1), value=2.0)
        return grad_value, through_slopes, grad_curvature
