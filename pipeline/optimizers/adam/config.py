"""Configuration of Adam."""

from typing import Literal

from pydantic import Field

from pipeline.limits import RateFactor
from pipeline.optimizers.settings import OptimizerKind


class Adam(OptimizerKind):
    """Adam, its learning rate falling to zero at the last step."""

    lifecycle = "stable"

    kind: Literal["adam"]
    decay: Literal["cosine", "linear"] = Field(
        default="cosine",
        description=(
            "The learning rate falls by half a cosine, which spends more steps at low rates, or"
            " linearly, as published."
        ),
    )
    first_layer_rate: RateFactor = Field(
        default=1.0,
        description=(
            "Factor of the learning rate for the weights of the first layer. At high d the default"
            " lets noise add up over the axes: from d of about 1,000 on 0.02 to 0.1 are better."
        ),
    )
