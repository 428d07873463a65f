"""What the configurations of all training runs share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    Strict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pipeline.kinds import Frozen, Kind, Part
from pipeline.limits import LearningRate, Processes, Size, Steps


def _check_workers(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    # One message, where a union would complain once a member.
    refusal = PydanticCustomError("workers", "expected a number of workers or [fewest, most]")
    try:
        found = handler(value)
    except ValidationError:
        raise refusal from None
    if isinstance(found, tuple) and found[0] > found[1]:
        raise refusal
    return found


_Range = Annotated[tuple[Processes, Processes], Strict(False)]


Workers = Annotated[Processes | _Range, WrapValidator(_check_workers)]


class TrainSettings(Frozen):
    """What every training run needs.

    `batch_size` is what a step takes over all workers. The workers divide it, so their number
    changes the time of a step and, but for rounding, none of its numbers. `num_workers` is fixed,
    or [fewest, most]: as many as the cluster has room for, anew whenever nodes come or go.
    """

    neutral: ClassVar[frozenset[str]] = frozenset(
        {"num_workers", "checkpoint_every", "evaluate_every"}
    )

    learning_rate: LearningRate = 1.0e-3
    batch_size: Size = 20
    num_workers: Workers = 2
    checkpoint_every: Steps = 200
    evaluate_every: Steps = 200
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def min_workers(self) -> int:
        """Return the number of workers without which training waits."""
        return self.num_workers[0] if isinstance(self.num_workers, tuple) else self.num_workers

    @property
    def max_workers(self) -> int:
        """Return the number of workers for which there is work."""
        return self.num_workers[1] if isinstance(self.num_workers, tuple) else self.num_workers

    @property
    def stopping(self) -> "EarlyStopping | None":
        """Return when to stop early, None for never."""
        return None

    @model_validator(mode="after")
    def _a_sample_each(self) -> "TrainSettings":
        if self.batch_size < self.max_workers:
            raise ValueError(
                f"batch_size: expected at least {self.max_workers}, one for each of the"
                f" num_workers, got {self.batch_size}"
            )
        return self


class EarlyStopping(Frozen):
    """End training when the residual on held-out points has stopped falling; keep the best model.

    The root mean square of the scaled residual over `num_points` points of the training law that
    no step uses is estimated every `evaluate_every` steps. Training ends after `patience` of these
    evaluations, all after step `min_steps`, in which it has not fallen by more than `min_delta`
    (relative) and by more than the standard error of the difference. An estimator that samples
    takes `index_sets` independent index sets a point.
    """

    patience: Steps
    min_delta: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    min_steps: Annotated[int, Field(ge=0, le=10**9)] = 0
    num_points: Annotated[int, Field(ge=16, le=10**8)] = 1024
    index_sets: Annotated[int, Field(ge=2, le=10_000)] = 4


class Run(Part):
    """A run of training: the last of `stage_modules` builds its task (`pipeline.training.task`).

    task: what a checkpoint says it is of.
    """

    task: ClassVar[Literal["pinn", "operator"]]
    # Fields of every run, each with its own type and place in the order of keys.
    if TYPE_CHECKING:
        model: Kind
        train: TrainSettings
        initial_checkpoint: Path | None

    def shapes(self) -> dict[str, Any] | None:
        """Return the shapes of the network as far as the configuration alone tells them."""
        return None
