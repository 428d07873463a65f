"""Adam for the whole network."""

from typing import Any

from torch import nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from pipeline.optimizers import schedules
from pipeline.optimizers.adam import config
from pipeline.optimizers.gradient import GradientDescent


def build(
    settings: config.Adam, model: nn.Module, learning_rate: float, num_steps: int
) -> GradientDescent:
    """Return Adam and the decay of its learning rate to zero at `num_steps`.

    The noise of fresh points keeps the error at a level that falls with the rate: half a cosine
    spends more steps at low rates than the published linear decay. Adam moves each of the d weights
    of a unit by about the rate, and the unit by up to √d |x| times as much: at high d the first
    layer may need a lower one.
    """
    groups = _groups(model, learning_rate, settings.first_layer_rate)
    # Fused: one pass over each parameter and its moments, where the default makes several.
    optimizer = Adam(groups, lr=learning_rate, fused=True)
    decay = {"cosine": schedules.cosine, "linear": schedules.linear}[settings.decay]
    return GradientDescent(optimizer, LambdaLR(optimizer, lambda step: decay(step, num_steps)))


def _groups(model: nn.Module, rate: float, first_layer_rate: float) -> list[dict[str, Any]]:
    """Return the parameters of `model` with their rates, the weights of the first layer apart."""
    if first_layer_rate == 1.0:
        return [{"params": list(model.parameters())}]
    # The weight of the first layer is registered first.
    first, *others = model.parameters()
    return [{"params": [first], "lr": first_layer_rate * rate}, {"params": others}]
