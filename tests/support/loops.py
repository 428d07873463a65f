"""Runs of the training loop in one process, their state in memory, on one rank or several."""

import copy

import torch
from thread_worlds import on_threads

from pipeline.parallel.world import Alone
from pipeline.problems.two_body import problem as two_body
from pipeline.training.loop import train
from pipeline.training.pinn import task as pinn

CPU = torch.device("cpu")


class Memory:
    """Keeps every state; `stop_at` kills the run right after the save at that step."""

    def __init__(self, state=None, stop_at=None):
        self.state, self.stop_at = state, stop_at

    def load(self):
        return copy.deepcopy(self.state)

    def save(self, state):
        self.state = copy.deepcopy(state)
        if state["step"] == self.stop_at:
            raise KeyboardInterrupt


def run(task, checkpoint, world=None):
    return train(
        task,
        name="test",
        world=world or Alone(),
        settings=task.run.train,
        checkpoint=checkpoint,
        report=lambda progress: None,
    )


def numbers(history):
    return [row[:-1] for row in history.rows]


def as_double(task):
    """Return `task` computing in float64, where sums in another order agree to 1e-12."""
    task.model.double()
    if isinstance(task, pinn.Task):
        problem = two_body.Problem(task.run.problem, CPU, torch.float64)
        task.problem = task.residual.problem = task.evaluation._problem = problem
        task.evaluation._kept = list(task.evaluation._draw(task.evaluation._num_points))
    return task


def each_rank(build, size, work):
    """Return what `work(build(), world)` returns or raises on each of `size` ranks."""
    tasks = [build() for _ in range(size)]
    return on_threads(size, lambda world: work(tasks[world.rank], world))
