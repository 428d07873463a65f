"""End training when the held-out residual has stopped falling, on every rank at the same step.

All ranks sum up the same bits and so come to the same answer; each keeps the best state of its
model. Two criteria are kept apart: the model kept is that of the least residual, while patience
counts the evaluations since the last fall that was large enough, so that small falls add up. A fall
is compared with the standard error of the paired difference over the groups of points: noise that
both evaluations share cancels in it.
"""

import math
from typing import Any

from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.parallel.world import World
from pipeline.training.config import TrainSettings
from pipeline.training.squares import mean_and_error, root
from pipeline.training.task import Task


class EarlyStopping:
    """Follows the held-out residual of `task`; does nothing if the settings do not ask for it."""

    def __init__(self, task: Task, settings: TrainSettings, world: World, name: str) -> None:
        self._task, self._world, self._name = task, world, name
        self._settings = settings.stopping
        # Mean squares of the groups: those of the least residual, and those at the last fall.
        self._best: Tensor | None = None
        self._mark: Tensor | None = None
        self._best_model: dict[str, Tensor] | None = None
        self._best_step = self._last_step = self._waited = 0

    @property
    def is_over(self) -> bool:
        """Whether training has ended; the same on every rank."""
        return self._settings is not None and self._waited >= self._settings.patience

    def look(self, step: int) -> dict[str, float]:
        """Evaluate the residual after `step`, on all ranks together; return the figures to show.

        These are `residual` and `residual_standard_error`, or none.

        Raises:
            TrainingError: the residual is not finite; on every rank.
        """
        if self._settings is None:
            return {}
        squares = self._squares()
        if not math.isfinite(float(squares.mean())):
            raise TrainingError(
                f"runs.{self._name}: step {step}: expected a finite held-out residual, got"
                f" {float(squares.mean())}; lower train.learning_rate"
            )
        # Any smaller residual is kept, however small the fall.
        if self._best is None or squares.mean() < self._best.mean():
            self._best, self._best_step = squares, step
            state = self._task.model.state_dict()
            # Copies: a state dictionary refers to the parameters, which the next step changes.
            self._best_model = {key: value.detach().clone() for key, value in state.items()}
        if self._mark is None or has_fallen(self._mark, squares, self._settings.min_delta):
            # The next fall is measured from here, not from the least residual.
            self._mark, self._waited = squares, 0
        elif step > self._settings.min_steps:
            self._waited += 1
        self._last_step = step
        value, error = root(squares)
        return {"residual": value, "residual_standard_error": error}

    def restore(self) -> None:
        """Give the model the state of the least residual, if one was evaluated."""
        if self._best_model is not None:
            self._task.model.load_state_dict(self._best_model)

    def outcome(self) -> dict[str, float]:
        """Return what the summary of a run tells, empty if there was nothing to follow.

        `stopped_at_step`, the last step taken; `best_step`, that of the model that is kept; and its
        `held_out_residual` with standard error.
        """
        if self._best is None:
            return {}
        value, error = root(self._best)
        return {
            "stopped_at_step": self._last_step,
            "best_step": self._best_step,
            "held_out_residual": value,
            "held_out_residual_standard_error": error,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs to go on: tensors and numbers."""
        return {key: getattr(self, f"_{key}") for key in _STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        for key in _STATE:
            setattr(self, f"_{key}", state[key])

    def _squares(self) -> Tensor:
        squares = self._task.held_out(self._world.rank, self._world.size)
        self._world.all_reduce(squares)
        return squares


_STATE = ("best", "mark", "best_model", "best_step", "last_step", "waited")


def has_fallen(before: Tensor, now: Tensor, min_delta: float) -> bool:
    """Return whether the root of the mean of `now` lies below that of `before`, both (g,).

    By more than the fraction `min_delta`, and, for the mean squares, by more than the standard
    error of their difference over the groups.
    """
    fall, error = mean_and_error(before - now)
    # A fraction of the root, for mean squares; an unbiased mean square may be negative.
    wanted = (1.0 - (1.0 - min_delta) ** 2) * max(float(before.mean()), 0.0)
    return fall > max(wanted, error)
