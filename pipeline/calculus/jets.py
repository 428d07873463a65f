"""Collapsed Taylor jets of tanh networks: value, slopes along b directions, summed curvature.

A jet of z along directions v in V is (z, S = sum over V of ∂_v² z, ∂_v z for v in V). Linear layers
act on each part in the same way, and for h = tanh z, with g = 1 - h²,

    S_h = g (S_z - 2 h sum_v (∂_v z)²),    ∂_v h = g ∂_v z,

so that the b second derivatives take one tensor, not b. Along basis vectors the slopes after the
first linear layer are columns of its weight, shared by all points. Cost: b + 2 forward passes.

Shapes: n points, m coordinates, b directions, k more for slopes only, w units; "1|n" is 1 where all
points share. Between layers a jet is one tensor of planes (2 + b + k, n, w): z, S, slopes. A linear
layer is then one product, and every part is contiguous.

Source: Dangel et al., "Collapsing Taylor mode automatic differentiation" (2025);
for single axes Shi, Hu, Lin, Kawaguchi, STDE (NeurIPS 2024).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pipeline.calculus.directions import Dense, Directions, OwnAxes
from pipeline.calculus.gemm import linear, product, transposed_product
from pipeline.parallel.axes import AxesLinear


class NetworkJet(NamedTuple):
    """A network at each point, (n,), with derivatives along b directions and k more."""

    value: Tensor  # (n,)
    first: Tensor  # (n, b)
    second: Tensor  # (n,): the sum over the b directions of the second derivatives
    more: Tensor | None  # (n, k): first derivatives only


def supports(network: object) -> bool:
    """Whether `network` is an `nn.Sequential` of Linear, then Tanh and Linear once or more."""
    if not isinstance(network, nn.Sequential) or len(network) < 3:
        return False
    # By exact types: a subclass may compute something else.
    first, *others = (type(layer) for layer in network)
    pairs = [nn.Tanh, nn.Linear] * (len(network) // 2)
    return first in (nn.Linear, AxesLinear) and others == pairs


def first_layer(layer: nn.Linear, x: Tensor, directions: Directions) -> tuple[Tensor, Tensor]:
    """Return its value W x + c at `x` (n, m), (n, w), and its slopes W v, (1|n, b, w)."""
    # Under autocast by recorded operations: the first layer then rounds as in the network's pass.
    is_low = torch.is_autocast_enabled(x.device.type)
    if isinstance(layer, AxesLinear):
        if is_low:
            return layer(x), directions.through(layer.weight)
        assert isinstance(directions, OwnAxes)
        _, place = layer.partition.own(directions.index)
        part, columns = _ValueColumns.apply(layer.own(x), layer.weight, None, place)  # type: ignore[no-untyped-call]
        return layer.partition.rows(part) + layer.bias, directions.spread(columns).unsqueeze(0)
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
    v. Differentiable once (reverse mode) in them and the parameters; exact up to rounding.
    """
    b, each = first.shape[1], (len(value), -1, -1)
    # Without `more` the slopes along axes stay one row for all points until the first tanh.
    slopes = first if more is None else torch.cat([first.expand(each), more.expand(each)], 1)
    layers = [layer for layer in network if isinstance(layer, nn.Linear)][1:]
    parameters = [p for layer in layers for p in (layer.weight, layer.bias)]
    device, dtype = value.device.type, value.dtype
    if torch.is_autocast_enabled(device):
        # The layers below are not autocast: their inputs and parameters are converted here, once.
        dtype = torch.get_autocast_dtype(device)
    inputs = (value, slopes.transpose(0, 1), *parameters)
    through = _recorded if torch.compiler.is_compiling() else _TanhLayers.apply
    jet = through(b, *(p if p is None else p.to(dtype) for p in inputs))
    value, second, slopes = jet
    if more is None:
        return NetworkJet(value, slopes, second, None)
    return NetworkJet(value, slopes[:, :b], second, slopes[:, b:])


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
        grad_weight = transposed_product(grad_value, x)
        # Column i of W has its gradient from W x, and if it was picked, that of the copy as well.
        grad_weight.index_add_(1, index, grad_columns.T)
        grad_x = product(grad_value, weight.T) if ctx.needs_input_grad[0] else None
        grad_bias = grad_value.sum(0) if ctx.needs_input_grad[2] else None
        return grad_x, grad_weight, grad_bias, None


def _recorded(
    num_collapsed: int, value: Tensor, slopes: Tensor, *parameters: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `_TanhLayers` does: for the compiler, which fuses the passes that it records."""
    curvature = torch.zeros_like(value)
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        assert weight is not None
        h = torch.tanh(value)
        g = 1.0 - h * h
        curvature = g * (curvature - 2.0 * h * slopes[:num_collapsed].square().sum(0))
        parts = [h[None], curvature[None], g * slopes]
        if len(weight) == 1:
            # Sums that the compiler fuses with the parts, of which none is then written.
            planes = torch.cat([(part * weight).sum(-1, keepdim=True) for part in parts])
        else:
            planes = linear(torch.cat(parts), weight, None)
        value, curvature, slopes = planes[0], planes[1], planes[2:]
        if bias is not None:
            # Derivatives do not see the bias, a constant: it belongs to the value's plane alone.
            value = value + bias
    return value[:, 0], curvature[:, 0], slopes[:, :, 0].T


class _TanhLayers(torch.autograd.Function):
    """Pairs of a tanh and a linear layer, with the gradient by hand.

    Recorded operations would take twice as many passes over the slopes, and none in place.
    """

    @staticmethod
    def forward(
        ctx: Any, num_collapsed: int, value: Tensor, slopes: Tensor, *parameters: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return value (n,), second (n,) and slopes (n, b + k) of a network with one output.

        From value (n, w), slopes (b + k, 1|n, w) and each pair's weight and bias. The first
        `num_collapsed` = b of the slopes have second derivatives, zero so far.
        """
        slopes, curvature = slopes.contiguous(), torch.zeros_like(value)
        saved = list[Tensor]()
        for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
            assert weight is not None
            inputs = value.new_empty(2 + len(slopes), *value.shape)
            # Each part is written where the product reads it, without a concatenation afterwards.
            h = torch.tanh(value, out=inputs[0])
            g = 1.0 - h * h
            squares = slopes[:num_collapsed].square().sum(0)
            # S_z becomes S_z - 2 h Σ (∂_v z)², the factor of g in S_h: saved for the gradient of g.
            curvature.addcmul_(h, squares, value=-2.0)
            torch.mul(g, curvature, out=inputs[1])
            torch.mul(g, slopes, out=inputs[2:])
            planes = product(inputs, weight)
            saved += [inputs, g, squares, curvature, slopes, weight]
            value, curvature, slopes = planes[0], planes[1], planes[2:]
            if bias is not None:
                value += bias
        ctx.num_collapsed = num_collapsed
        ctx.save_for_backward(*saved)
        return value[:, 0], curvature[:, 0], slopes[:, :, 0].T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        value, second, slopes = grads
        grad = torch.cat([value[None], second[None], slopes.T]).unsqueeze(-1)
        b, saved, of_parameters = ctx.num_collapsed, list(ctx.saved_tensors), list[Tensor | None]()
        # The inputs are num_collapsed, value, slopes, then weight and bias of each pair in turn.
        has_bias = list(ctx.needs_input_grad[4::2])
        while saved:
            inputs, g, squares, curvature, slopes, weight = saved[-6:]
            del saved[-6:]
            of_weight = transposed_product(grad.flatten(0, 1), inputs.flatten(0, 1))
            of_bias = grad[0].sum(0) if has_bias.pop() else None
            of_parameters = [of_weight, of_bias, *of_parameters]
            # `grad` is our own tensor from here on: the gradient in the jet of h, and then, in
            # place, that in the jet of z.
            grad = product(grad, weight.T)
            h, of_value, of_second, of_slopes = inputs[0], grad[0], grad[1], grad[2:]
            # g is a factor of S_h and of each ∂_v h.
            of_g = (slopes * of_slopes).sum(0).addcmul_(curvature, of_second)
            # g = 1 - h², so dg/dh = -2h; h stands in S_h beside g, too. The product with g = dh/dz
            # that z needs is taken below, for all planes at once.
            of_value.addcmul_(h, of_g, value=-2.0).addcmul_(g * squares, of_second, value=-2.0)
            grad *= g
            # Slopes that all points share collect the gradients of all points.
            of_slopes = of_slopes.sum_to_size(slopes.shape)
            of_squares = (h * of_second).sum_to_size(squares.shape)
            of_slopes[:b].addcmul_(slopes[:b], of_squares, value=-4.0)
        return None, grad[0], of_slopes, *of_parameters
