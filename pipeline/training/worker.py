"""What each training process does: build the task, train, and on rank 0 leave the results."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.kinds import implementation_of_stage
from pipeline.parallel.world import World
from pipeline.runtime import kept, progress
from pipeline.runtime.progress import Progress
from pipeline.training.config import Run
from pipeline.training.loop import Checkpoints, History, train
from pipeline.training.saved import outputs
from pipeline.training.saved.divided import DividedSnapshots
from pipeline.training.saved.snapshot import Snapshots
from pipeline.training.saved.weights import load_initial, save_model
from pipeline.training.task import Task


@dataclass(frozen=True)
class TrainingJob:
    """One run and where its state lies: `folder` is seen by every process of the run."""

    run: Run
    name: str
    seed: int
    store: Path | None
    folder: Path

    @property
    def progress(self) -> Path:
        """Return the file of progress lines."""
        return self.folder / "progress.txt"

    @property
    def results(self) -> Path:
        """Return the folder of the finished files."""
        return self.folder / "results"


def build_task(job: TrainingJob, device: torch.device, world: World) -> Task:
    """Return the task of `job`, its model as at step 0."""
    task: Task = implementation_of_stage(job.run).build(job.run, job.seed, device, job.store, world)
    if job.run.initial_checkpoint is not None:
        # A snapshot, if there is one, replaces these weights afterwards.
        load_initial(job.run.initial_checkpoint, job.run, task.model)
    return task


@dataclass(frozen=True)
class _Told:
    """Snapshots of a run; says from which step it goes on, and notes the last one saved."""

    snapshots: Checkpoints
    job: TrainingJob
    num_steps: int
    is_first: bool

    def load(self) -> dict[str, Any] | None:
        """Return the last state saved, or None."""
        state = self.snapshots.load()
        if state is not None and self.is_first:
            where = f"step {state['step']} of {self.num_steps}"
            progress.write(self.job.progress, f"{self.job.name}: goes on from {where}")
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Keep `state`."""
        self.snapshots.save(state)
        if self.is_first:
            kept.set_reached(self.job.folder, f"step {state['step']} of {self.num_steps}")


def work(
    job: TrainingJob,
    *,
    world: World,
    device: torch.device,
    publish: Callable[[Progress], None],
    stop: Callable[[], bool] | None = None,
) -> None:
    """Train, from the last snapshot if there is one; on rank 0 write the results.

    Raises:
        PipelineError: what no retry of the workers can cure; see `Task` and `train`.
    """
    task = build_task(job, device, world)
    snapshots = (
        DividedSnapshots(job.folder, device, task.model, world)
        if task.is_divided
        else Snapshots(job.folder, device)
    )

    def report(now: Progress) -> None:
        progress.write(job.progress, progress.line(job.name, now))
        publish(now)

    # Only a range leaves open how many there are.
    if world.rank == 0 and job.run.train.min_workers < job.run.train.max_workers:
        workers = f"{world.size} of {job.run.train.max_workers} workers"
        progress.write(job.progress, f"{job.name}: {workers}")
    if world.rank == 0 and task.is_compiled:
        progress.write(job.progress, f"{job.name}: the first step takes longer: it is compiled")
    history = train(
        task,
        name=job.name,
        world=world,
        settings=job.run.train,
        checkpoint=_Told(snapshots, job, task.num_steps, is_first=world.rank == 0),
        report=report,
        stop=stop,
    )
    # Where each rank holds some axes all evaluate together, and rank 0 reports.
    if world.rank and not task.is_divided:
        return
    final, prediction = task.final(task.model), task.prediction(task.model)
    if world.rank:
        return
    model: dict[str, Tensor] = task.model.state_dict()
    if isinstance(snapshots, DividedSnapshots):
        # Rank 0 has its own columns alone; the last snapshot has those of all.
        model = snapshots.whole_model()
    _finish(job, task, history, model, final, prediction)


def _finish(
    job: TrainingJob,
    task: Task,
    history: History,
    model: dict[str, Tensor],
    final: dict[str, float],
    prediction: dict[str, np.ndarray],
) -> None:
    # Without early stopping there is no outcome, and all steps were taken.
    num_steps = history.outcome.get("stopped_at_step", task.num_steps)
    if num_steps < task.num_steps:
        progress.write(
            job.progress,
            f"{job.name}: stopped after step {num_steps} of {task.num_steps}: the held-out residual"
            f" does not fall any more; the model is that of step {history.outcome['best_step']}",
        )
    samples = task.samples_per_step * num_steps
    save_model(
        job.results / outputs.CHECKPOINT,
        model,
        job.run,
        seed=job.seed,
        description=task.description(),
    )
    summary = {
        **final,
        **history.outcome,
        "samples_per_second": samples / history.elapsed_s,
        # By the whole model's sizes: a divided layer of the task is narrower.
        "num_parameters": sum(model[name].numel() for name, _ in task.model.named_parameters()),
        "training_s": history.elapsed_s,
        "all_reduce_bytes_per_step": history.num_bytes,
    }
    outputs.collect(job.results, history.rows, prediction, summary)
