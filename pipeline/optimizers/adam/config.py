"""Configuration of Adam."""

from typing import Literal

from pipeline.limits import RateFactor
from pipeline.optimizers.settings import OptimizerKind


class Adam(OptimizerKind):
    """Adam; the learning rate falls to zero by half a cosine, or linearly.

    The first layer of the network learns at `first_layer_rate` times that rate.
    """

    kind: Literal["adam"]
    decay: Literal["cosine", "linear"] = "cosine"
    first_layer_rate: RateFactor = 1.0
