"""Fully connected tanh network."""

from torch import nn

from pipeline import config


def build(config: config.MLP, dim: int) -> nn.Sequential:
    """Return a network (n, dim) -> (n, 1) of `depth` linear layers with tanh between them."""
    widths = [dim] + [config.width] * (config.depth - 1) + [1]
    layers: list[nn.Module] = []
    for i in range(config.depth):
        layers += [nn.Linear(widths[i], widths[i + 1]), nn.Tanh()]
    return nn.Sequential(*layers[:-1])
