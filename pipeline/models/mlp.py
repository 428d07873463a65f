"""Fully connected tanh network."""

import math

import torch
from torch import nn

from pipeline import config
from pipeline.models.polynomial import Polynomial, WithPolynomial

# Chosen at d = 1000; see the docstring of `build`.
_FIRST_STD = 0.03


def build(
    config: config.MLP, num_inputs: int, radius: float = 1.0, final_time: float | None = None
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

    Draws from torch's global generator: seed it for a reproducible network.
    """
    widths = [num_inputs, *[config.width] * (config.depth - 1), 1]
    layers: list[nn.Module] = []
    for i in range(config.depth):
        linear = nn.Linear(widths[i], widths[i + 1])
        std = _FIRST_STD / radius if i == 0 else 1.0 / math.sqrt(widths[i])
        nn.init.normal_(linear.weight, 0.0, std)
        nn.init.zeros_(linear.bias)
        if i == 0 and final_time is not None:
            with torch.no_grad():
                linear.weight[:, -1] *= 1.0 / (final_time * std)
        layers += [linear, nn.Tanh()]
    network = nn.Sequential(*layers[:-1])
    if config.skip == "none":
        return network
    # The network learns what the polynomial leaves: it is zero at first.
    nn.init.zeros_(linear.weight)
    degree = {"linear": 1, "quadratic": 2}[config.skip]
    return WithPolynomial(network, Polynomial(num_inputs, degree))
