"""Training of a PINN run in this process, and the spread of its figures over seeds."""

import statistics
import time
from collections.abc import Mapping, Sequence

import torch

from pipeline.config import PinnRun
from pipeline.training.pinn import Task
from pipeline.training.step import Alone, train_step


def train(run: PinnRun, seed: int) -> tuple[Task, float]:
    """Return the task after its last step, and the CPU seconds that the steps took."""
    task = Task(run, seed, torch.device("cpu"))
    optimizer, scheduler = task.configure_optimizer(task.model)
    started = time.process_time()
    for step in range(task.num_steps):
        train_step(task, task.model, optimizer, scheduler, step, Alone())
    return task, time.process_time() - started


def spread(found: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return [median, smallest, largest] of each key over the seeds, in three digits."""
    together = {key: [one[key] for one in found] for key in found[0]}
    numbers = {key: (statistics.median(v), min(v), max(v)) for key, v in together.items()}
    return {key: [float(f"{v:.3g}") for v in three] for key, three in numbers.items()}
