"""Collapsed Taylor jets of tanh networks: value, slopes along b axes, and the summed curvature.

A jet of z along the axes I is (z, ∂_i z for i in I, S = sum over I of ∂_i² z). Linear layers act
on the three parts alike, and for h = tanh z, with g = 1 - h²,

    ∂_i h = g ∂_i z,    S_h = g (S_z - 2 h sum_i (∂_i z)²),

so the b second derivatives need one tensor, not b. Along basis vectors the slopes after the first
linear layer are columns of its weight, shared by all points. Cost: b + 2 forward passes.

Shapes: n points, b axes, w units. Source: Dangel et al., "Collapsing Taylor mode automatic
differentiation" (2025); for single axes Shi, Hu, Lin, Kawaguchi, STDE (NeurIPS 2024).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


class Jet(NamedTuple):
    """Value (n, w), slopes (n, b, w) and summed second derivatives (n, w)."""

    value: Tensor
    first: Tensor
    second: Tensor


def supports(network: object) -> bool:
    """Whether `network` is an `nn.Sequential` of Linear and Tanh that starts with a Linear."""
    return (
        isinstance(network, nn.Sequential)
        and len(network) > 0
        and type(network[0]) is nn.Linear
        and all(type(layer) in (nn.Linear, nn.Tanh) for layer in network)
    )


def network_jet(network: nn.Sequential, x: Tensor, axes: Tensor) -> Jet:
    """Return the jet of a network that `supports` accepts, at `x` (n, d) along `axes` (b,).

    Differentiable once (reverse mode) in the parameters; exact up to rounding.
    """
    layers = iter(network)
    jet = _first_layer(next(layers), x, axes)
    for layer in layers:
        jet = _tanh(jet) if isinstance(layer, nn.Tanh) else _linear(layer, jet)
    return jet


def _first_layer(layer: nn.Module, x: Tensor, axes: Tensor) -> Jet:
    assert isinstance(layer, nn.Linear)
    value = layer(x)
    first = layer.weight[:, axes].T.to(value.dtype).unsqueeze(0)  # (1, b, w): the same at all x
    return Jet(value, first, torch.zeros_like(value))


def _linear(layer: nn.Module, jet: Jet) -> Jet:
    assert isinstance(layer, nn.Linear)
    return Jet(
        layer(jet.value),
        functional.linear(jet.first, layer.weight),
        functional.linear(jet.second, layer.weight),
    )


def _tanh(jet: Jet) -> Jet:
    return Jet(*_TanhJet.apply(*jet))  # type: ignore[no-untyped-call]


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
