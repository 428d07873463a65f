"""One optimisation step of parallel training: the same update on every rank."""

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pipeline.parallel.axes import divided_layers
from pipeline.parallel.world import World
from pipeline.training.task import Task


def train_step(
    task: Task,
    model: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    step: int,
    world: World,
) -> float:
    """Update `model` by the gradient of the mean loss over the whole batch; return that loss.

    Gradients and loss travel in one flat tensor: one all-reduce a step. If the loss is not finite
    the parameters are left as they are, on every rank alike.
    """
    optimizer.zero_grad(set_to_none=True)
    part = task.loss(model, step, world.rank, world.size)
    part.backward()  # type: ignore[no-untyped-call]
    loss = summed(model, part, world)
    if math.isfinite(loss):
        optimizer.step()
        scheduler.step()
    return loss


def summed(model: nn.Module, part: Tensor, world: World) -> float:
    """Replace the gradients of `model` by their sum over the ranks; return the sum of `part`.

    Columns that a rank alone has (`divided_layers`) have their whole gradient already.
    """
    if world.size == 1:
        return part.item()
    own = divided_layers(model)
    parameters = [p for name, p in model.named_parameters() if p.requires_grad and name not in own]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([*(g.flatten() for g in gradients), part.detach().reshape(1)])
    world.all_reduce(flat)
    sizes = [p.numel() for p in parameters]
    for parameter, gradient in zip(parameters, torch.split(flat[:-1], sizes), strict=True):
        parameter.grad = gradient.view_as(parameter)
    return flat[-1].item()
