"""Adam, with groups of parameters whose gradient is the step itself."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Adam


class AdamBesideSteps(Adam):
    """Adam; parameters in `stepped` move by minus their `grad` times their own rate.

    The rate of the first group is `learning_rate`, that of the second 1.
    """

    def __init__(
        self, parameters: list[nn.Parameter], stepped: list[nn.Parameter], learning_rate: float
    ):
        groups: list[dict[str, Any]] = [
            {"params": parameters, "lr": learning_rate},
            {"params": stepped, "lr": 1.0},
        ]
        super().__init__(groups, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step."""
        stepped = self.param_groups[1]
        for parameter in stepped["params"]:
            assert parameter.grad is not None
            parameter.sub_(parameter.grad, alpha=stepped["lr"])
            # Adam passes over parameters without a gradient, and keeps no moments for them.
            parameter.grad = None
        super().step(closure)
