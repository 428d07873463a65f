"""Fully connected tanh network."""

import math

from torch import nn

from pipeline import config

# Chosen at d = 1000; see the docstring of `build`.
_FIRST_STD = 0.03


def build(config: config.MLP, dim: int) -> nn.Sequential:
    """Return a network (n, dim) -> (n, 1) of `depth` linear layers with tanh between them.

    Weights are normal with standard deviation 0.03 in the first layer and 1/sqrt(inputs) in the
    others; biases start at zero. The first activations are then about 0.03 |x| at every
    `dim` (the default of `nn.Linear`, about |x|/sqrt(dim), lets them vanish), so that training
    starts from a nearly linear function of x: what the solutions are at high d, to leading order.

    Draws from torch's global generator: seed it for a reproducible network.
    """
    widths = [dim, *[config.width] * (config.depth - 1), 1]
    layers: list[nn.Module] = []
    for i in range(config.depth):
        linear = nn.Linear(widths[i], widths[i + 1])
        nn.init.normal_(linear.weight, 0.0, _FIRST_STD if i == 0 else 1.0 / math.sqrt(widths[i]))
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1])
