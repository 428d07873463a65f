"""Steps by the gradient of the loss, summed over the processes that share a batch."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pipeline.optimizers.base import Batch, HasLoss
from pipeline.parallel.axes import divided_layers
from pipeline.parallel.world import World


class GradientDescent:
    """An optimiser of torch and its schedule, which is advanced once a step."""

    def __init__(self, optimizer: Optimizer, scheduler: LRScheduler) -> None:
        self.optimizer, self.scheduler = optimizer, scheduler

    def update(self, task: HasLoss, batch: Batch) -> float:
        """Move the model by the gradient of the mean loss over the batch; return that loss."""
        self.optimizer.zero_grad(set_to_none=True)
        part = task.loss(task.model, batch.step, batch.world.rank, batch.world.size)
        return self.descend(task.model, part, batch.world)

    def descend(self, model: nn.Module, part: Tensor, world: World) -> float:
        """Move `model` by the gradient of the sum of `part` over the ranks; return that sum."""
        part.backward()  # type: ignore[no-untyped-call]
        loss = summed(model, part, world)
        # The sum is the same on every rank, so that all of them take the step or none does.
        if math.isfinite(loss):
            self.optimizer.step()
            self.scheduler.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the states of optimiser and schedule."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the states of optimiser and schedule."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])


def summed(model: nn.Module, part: Tensor, world: World) -> float:
    """Replace the gradients of `model` by their sum over the ranks; return the sum of `part`.

    Gradients and loss travel in one flat tensor: one all-reduce a step. Columns that a rank alone
    has (`divided_layers`) have their whole gradient already.
    """
    if world.size == 1:
        return part.item()
    # Their sum over processes was taken in the backward pass (`AxisPartition`): once more would
    # multiply it.
    own = divided_layers(model)
    parameters = [p for name, p in model.named_parameters() if p.requires_grad and name not in own]
    # A parameter without a gradient still has its place: all ranks send tensors of one length.
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([*(g.flatten() for g in gradients), part.detach().reshape(1)])
    world.all_reduce(flat)
    sizes = [p.numel() for p in parameters]
    for parameter, gradient in zip(parameters, torch.split(flat[:-1], sizes), strict=True):
        parameter.grad = gradient.view_as(parameter)
    return flat[-1].item()
