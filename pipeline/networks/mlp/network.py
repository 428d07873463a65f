"""Fully connected tanh network."""

import math
from typing import Any

import torch
from torch import nn
from torch.nn.utils import skip_init

from pipeline.networks.mlp import config
from pipeline.networks.polynomial import Polynomial, WithPolynomial
from pipeline.parallel.axes import AxesLinear, AxisPartition
from pipeline.parallel.tiles import normal_columns

# Chosen at d = 1000; see the docstring of `build`.
_FIRST_STD = 0.03


def build(
    config: config.MLP,
    num_inputs: int,
    radius: float = 1.0,
    final_time: float | None = None,
    partition: AxisPartition | None = None,
    generator: torch.Generator = torch.default_generator,
) -> nn.Module:
    """Return a network (n, num_inputs) -> (n, 1) of `depth` linear layers with tanh between them.

    Weights are normal with standard deviation 0.03 / radius in the first layer, where `radius` is
    the size of a typical point, and 1/sqrt(inputs) in the others; biases start at zero. The first
    activations are then about 0.03 at every dimension (the default of `nn.Linear`, about
    |x|/sqrt(inputs), lets them vanish on the unit ball), so that training starts from a nearly
    linear function of x: what the solutions are at high d, to leading order. With `final_time` the
    last coordinate is time, which counts as much as all others together: its weights have standard
    deviation 1 / final_time, so that there are functions of time from the start. With `skip` a
    polynomial is added (`WithPolynomial`), and the last layer starts at zero.
    With a `partition` the first layer has the columns of the own axes alone, with the values that
    they have in the whole network.

    Draws from `generator`, on the CPU.
    """
    widths = [num_inputs, *[config.width] * (config.depth - 1), 1]
    layers: list[nn.Module] = []
    for i in range(config.depth):
        if i == 0:
            linear = _first_layer(num_inputs, config.width, generator, partition)
            std = _FIRST_STD / radius
        else:
            linear = _bare(nn.Linear, widths[i], widths[i + 1])
            nn.init.normal_(linear.weight, generator=generator)
            # Keeps the variance of the sums at that of the activations, at every width.
            std = 1.0 / math.sqrt(widths[i])
        with torch.no_grad():
            linear.weight.mul_(std)
        nn.init.zeros_(linear.bias)
        if i == 0 and final_time is not None:
            with torch.no_grad():
                # All columns have `std` by now; the one of time gets 1 / final_time in its place.
                linear.weight[:, -1] *= 1.0 / (final_time * std)
        layers += [linear, nn.Tanh()]
    network = nn.Sequential(*layers[:-1])
    if config.skip == "none":
        return network
    # The network learns what the polynomial leaves: it is zero at first.
    nn.init.zeros_(linear.weight)
    degree = {"linear": 1, "quadratic": 2}[config.skip]
    return WithPolynomial(network, Polynomial(num_inputs, degree))


def _first_layer(
    num_inputs: int, num_units: int, generator: torch.Generator, partition: AxisPartition | None
) -> nn.Linear:
    """Return a layer with normal columns, drawn as points are: tile by tile."""
    if partition is None:
        # Undivided is one part of all axes: the draws are the same for any division.
        layer, part = _bare(nn.Linear, num_inputs, num_units), AxisPartition(num_inputs)
    else:
        layer, part = _bare(AxesLinear, partition, num_units), partition
    ends = (part.first, part.last)
    columns = normal_columns(num_units, num_inputs, generator, layer.weight.dtype, *ends)
    with torch.no_grad():
        layer.weight.copy_(columns)
    return layer


def _bare(kind: type[nn.Linear], *arguments: Any) -> nn.Linear:
    """Return a layer whose parameters are not drawn: that would take numbers by its size."""
    layer: nn.Linear = skip_init(kind, *arguments)  # type: ignore[no-untyped-call]
    return layer
