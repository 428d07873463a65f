"""Training of a PINN run in this process, and the spread of its figures over seeds."""

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from pipeline.optimizers.base import Batch
from pipeline.parallel.world import Alone
from pipeline.training.pinn.config import PinnRun
from pipeline.training.pinn.task import Task


def train(run: PinnRun, seed: int) -> tuple[Task, float]:
    """Return the task after its last step, and the CPU seconds that the steps took."""
    task = Task(run, seed, torch.device("cpu"))
    optimizer = task.optimizer()
    started = time.process_time()
    for step in range(task.num_steps):
        optimizer.update(task, Batch(step, Alone()))
    return task, time.process_time() - started


def over_seeds(
    name: str, run: PinnRun, seeds: int, errors: Callable[[Task], Mapping[str, float]]
) -> dict[str, list[float]]:
    """Return the spread of the errors of a run, and of the CPU seconds of its training.

    Every seed is shown on standard error as it ends.
    """
    found = []
    for seed in range(seeds):
        task, seconds = train(run, seed)
        found.append({**errors(task), "cpu_s": seconds})
        print(f"{name} seed {seed}: {found[-1]}", file=sys.stderr, flush=True)
    return spread(found)


def spread(found: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return [median, smallest, largest] of each key over the seeds, in three digits."""
    together = {key: [one[key] for one in found] for key in found[0]}
    numbers = {key: (statistics.median(v), min(v), max(v)) for key, v in together.items()}
    return {key: [float(f"{v:.3g}") for v in three] for key, three in numbers.items()}
