"""What the training loop needs of a task (`pipeline.training.{pinn,operator}.task`)."""

from typing import Any, Protocol, Self

import numpy as np
from torch import Tensor, nn

from pipeline.optimizers.base import Optimizer


class Task(Protocol):
    """A model, how a batch moves it, and its errors; everything a function of seed and step.

    The samples of a step do not depend on the number of workers, which only divide them.
    """

    model: nn.Module
    num_steps: int
    samples_per_step: int
    is_divided: bool
    """Whether every rank holds a part of the model, so that all must evaluate and save it."""
    is_compiled: bool
    """Whether the first step takes longer, because it is compiled."""

    def optimizer(self) -> Optimizer[Self]:
        """Return the optimiser of the model, at its first step."""
        ...

    def loss(self, model: nn.Module, step: int, rank: int, world_size: int) -> Tensor:
        """Return this rank's part of the mean loss over the samples of `step`.

        The sum over its `share` of them, divided by the number of all: the parts of all ranks add
        up to the mean, and their gradients to its gradient.
        """
        ...

    def held_out(self, rank: int, world_size: int) -> Tensor:
        """Return the mean squared residual of each group of held-out points, float64.

        Zero for other ranks' groups; the sum over ranks is the same to the last bit for any number
        of them. Empty for a task that cannot stop early.
        """
        ...

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return the errors on the test set, `relative_l2` among them.

        The standard error of a figure is named `<figure>_standard_error`.
        """
        ...

    def final(self, model: nn.Module) -> dict[str, float]:
        """Return the errors of the trained model for the summary."""
        ...

    def prediction(self, model: nn.Module) -> dict[str, np.ndarray]:
        """Return a small sample of predictions for the report."""
        ...

    def description(self) -> dict[str, Any]:
        """Return shapes and normalisation of the model: what a reader of its weights needs."""
        ...

    def epoch(self, step: int) -> float:
        """Return the position of `step` in the course of the training."""
        ...
