"""What the training loop needs of a task (`pipeline.training.{pinn,operator}.Task`)."""

from typing import Protocol

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class Task(Protocol):
    """A model, its loss and its errors; everything a pure function of (seed, step, rank)."""

    model: nn.Module
    num_steps: int
    samples_per_step: int

    def configure_optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler]:
        """Return optimiser and schedule; the schedule is advanced once a step."""
        ...

    def loss(self, model: nn.Module, step: int, rank: int, world_size: int) -> Tensor:
        """Return the mean loss over this rank's share of the samples of `step`."""
        ...

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return the errors on the test set, `relative_l2` among them."""
        ...

    def final(self, model: nn.Module) -> dict[str, float]:
        """Return the errors of the trained model for the summary."""
        ...

    def prediction(self, model: nn.Module) -> dict[str, np.ndarray]:
        """Return a small sample of predictions for the report."""
        ...

    def epoch(self, step: int) -> float:
        """Return the position of `step` in the course of the training."""
        ...
