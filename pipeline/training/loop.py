"""The training loop on one rank; it writes nothing itself: `checkpoint` and `report` do."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Protocol

from torch import nn

from pipeline.errors import TimeLimitError, TrainingError
from pipeline.optimizers.base import Batch, Optimizer
from pipeline.parallel.world import World
from pipeline.runtime.progress import Progress
from pipeline.training.config import TrainSettings
from pipeline.training.early_stopping import EarlyStopping
from pipeline.training.ending import Ending
from pipeline.training.running_mean import RunningMean
from pipeline.training.task import Task

_POINTS_PER_EVALUATION = 10
_REPORT_EVERY_S = 5.0


class Row(NamedTuple):
    """One number of the history, a row of metrics.parquet."""

    step: int
    epoch: float
    split: str
    metric: str
    value: float
    elapsed_s: float


class Checkpoints(Protocol):
    """Where the state of a run is kept."""

    def load(self) -> dict[str, Any] | None:
        """Return the last state saved, on any rank, or None."""
        ...

    def save(self, state: dict[str, Any]) -> None:
        """Keep `state`; called on rank 0 only, or on every rank where the model is divided."""
        ...


@dataclass
class History:
    """The metrics so far, the mean loss since its last row, and how early stopping ended."""

    rows: list[Row] = field(default_factory=list)
    loss: RunningMean = field(default_factory=RunningMean)
    elapsed_s: float = 0.0
    outcome: dict[str, float] = field(default_factory=dict)
    num_bytes: int = 0
    """What the last step gave to `World.all_reduce`, in this process."""

    def write(self, step: int, epoch: float, split: str, figures: dict[str, float]) -> None:
        """Append a row for each figure."""
        self.rows += [
            Row(step, epoch, split, *figure, self.elapsed_s) for figure in figures.items()
        ]

    def write_loss(self, step: int, epoch: float) -> None:
        """Append the mean loss of the steps since the last call, and its standard error."""
        if self.loss.count:
            found = {"loss": self.loss.mean, "loss_standard_error": self.loss.standard_error}
            known = {key: value for key, value in found.items() if value is not None}
            self.write(step, epoch, "train", known)
        self.loss = RunningMean()

    def last(self, split: str) -> dict[str, float]:
        """Return the figures of a split at the last step that has any."""
        step = max((row.step for row in self.rows if row.split == split), default=0)
        rows = (row for row in self.rows if (row.split, row.step) == (split, step))
        return {row.metric: row.value for row in rows}

    def latest(self) -> dict[str, float]:
        """Return the last figures of all splits, whose names differ."""
        return self.last("train") | self.last("test") | self.last("held_out")


def train(
    task: Task,
    *,
    name: str,
    world: World,
    settings: TrainSettings,
    checkpoint: Checkpoints,
    report: Callable[[Progress], None],
    stop: Callable[[], bool] | None = None,
) -> History:
    """Train `task.model` to `task.num_steps` and return the history of its metrics.

    Starts from the state that `checkpoint.load` returns on every rank, and then takes the same
    steps to the last bit as a run that was never interrupted. The test set is evaluated and the
    state saved (both on rank 0, or on every rank if the task is divided) every `evaluate_every` and
    `checkpoint_every` steps and at the end; `loss` is the mean over a tenth of `evaluate_every`
    steps (`RunningMean`). `stop` is asked on rank 0 about once a second. With early stopping the
    model is at the end that of the least held-out residual (see `EarlyStopping`); the last rows are
    those of the last step.

    Raises:
        TrainingError: the loss of a step or the held-out residual is not finite; on every rank.
        TimeLimitError: `stop` was true after at least one step, and the state is saved; on every
            rank after the same step.
    """
    model = task.model
    optimizer = task.optimizer()
    stopping = EarlyStopping(task, settings, world, name)
    saved = _Saved(model, optimizer, stopping, checkpoint)
    history, first = saved.load()
    clock = _Clock(history.elapsed_s)
    # The loss costs nothing to record, unlike an evaluation.
    log_every = max(1, settings.evaluate_every // _POINTS_PER_EVALUATION)
    ending = Ending(stop, world, model)
    is_active = world.rank == 0 or task.is_divided

    for step in range(first + 1, task.num_steps + 1):
        if stopping.is_over:
            break
        # Between steps, where the state of every rank is that of the same step.
        if ending.is_here(step - 1 - first):
            if is_active:
                saved.save(step - 1, history)
            raise TimeLimitError(
                f"runs.{name}: stopped after step {step - 1} of {task.num_steps}"
                " before the job's time limit"
            )
        # Of the step alone: evaluations send tensors, too.
        before = world.num_bytes
        loss = optimizer.update(task, Batch(step - 1, world))
        history.num_bytes = world.num_bytes - before
        _require_finite(loss, name, step)
        evaluate = step % settings.evaluate_every == 0 or step == task.num_steps
        # On all ranks: each evaluates its groups of held-out points.
        residual = stopping.look(step) if evaluate else {}
        # The others only take part in steps and in the held-out residual.
        if not is_active:
            continue
        history.loss.add(loss)
        history.elapsed_s = clock.elapsed()
        # `look` has just been asked: a run that stops early ends with this step, and writes all of
        # it.
        at_end = stopping.is_over or step == task.num_steps
        if step % log_every == 0 or at_end:
            history.write_loss(step, task.epoch(step))
        if evaluate:
            history.write(step, task.epoch(step), "held_out", residual)
            history.write(step, task.epoch(step), "test", task.evaluate(model))
            # Evaluations count as time of training.
            history.elapsed_s = clock.elapsed()
        if world.rank == 0 and (evaluate or clock.due()):
            report(_progress(task, step, first, loss, history, clock))
        if step % settings.checkpoint_every == 0 or at_end:
            saved.save(step, history)
    # After the last snapshot, which has the state of the last step and the best model beside it.
    stopping.restore()
    history.outcome = stopping.outcome()
    return history


def _require_finite(loss: float, name: str, step: int) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"runs.{name}: step {step}: expected a finite loss, got {loss};"
            " lower train.learning_rate"
        )


class _Saved(NamedTuple):
    """All of a run that is saved and loaded together."""

    model: nn.Module
    optimizer: Optimizer[Any]
    stopping: EarlyStopping
    checkpoint: Checkpoints

    def load(self) -> tuple[History, int]:
        """Go on from the last state, if there is one; return the history and the steps so far."""
        state = self.checkpoint.load()
        if state is None:
            return History(), 0
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state)
        self.stopping.load_state_dict(state["early_stopping"])
        return _unpack(state["history"]), state["step"]

    def save(self, step: int, history: History) -> None:
        """Keep the state after `step`."""
        self.checkpoint.save(
            {
                **self.optimizer.state_dict(),
                "early_stopping": self.stopping.state_dict(),
                "model": self.model.state_dict(),
                "step": step,
                "history": _pack(history),
            }
        )


class _Clock:
    """Seconds of training, counted on from those before the last checkpoint."""

    def __init__(self, before: float) -> None:
        self.started = self.reported = time.perf_counter()
        self.before = before

    def here(self) -> float:
        return time.perf_counter() - self.started

    def elapsed(self) -> float:
        return self.before + self.here()

    def due(self) -> bool:
        """Return whether nothing was reported for a while."""
        return time.perf_counter() - self.reported > _REPORT_EVERY_S


def _progress(
    task: Task, step: int, first: int, loss: float, history: History, clock: _Clock
) -> Progress:
    clock.reported = time.perf_counter()
    # Of this start alone: another machine may have taken the steps before.
    seconds_per_step = clock.here() / (step - first)
    return Progress(
        step=step,
        num_steps=task.num_steps,
        epoch=task.epoch(step),
        figures={"loss": loss} | history.latest(),
        samples_per_second=task.samples_per_step / seconds_per_step,
        remaining_s=(task.num_steps - step) * seconds_per_step,
    )


def _pack(history: History) -> dict[str, Any]:
    """Return the history as plain lists and numbers, which need no unpickling of classes."""
    return {
        "rows": [list(row) for row in history.rows],
        "loss": asdict(history.loss),
        # The outcome is missing: it is that of the early stopping, which has a state of its own.
        "elapsed_s": history.elapsed_s,
        "num_bytes": history.num_bytes,
    }


def _unpack(state: dict[str, Any]) -> History:
    rows = [Row(*row) for row in state["rows"]]
    loss = RunningMean(**state["loss"])
    return History(rows, loss, state["elapsed_s"], num_bytes=state["num_bytes"])
