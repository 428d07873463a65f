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
    """What every training run needs."""

    # Samples of a step and their sum do not depend on them, but for rounding.
    neutral: ClassVar[frozenset[str]] = frozenset(
        {"num_workers", "checkpoint_every", "evaluate_every"}
    )

    learning_rate: LearningRate = Field(
        default=1.0e-3,
        description=(
            "Largest learning rate of Adam: at the start of a PINN's decay, after the rise of an"
            " operator's cycle. 5e-4 to 4e-3 are usual here; too high a rate ends the run with a"
            " loss that is not finite, or leaves a large error."
        ),
    )
    batch_size: Size = Field(
        default=20,
        description=(
            "Samples of a step, over all workers together: their number changes the time of a step"
            " and, but for rounding, none of its numbers. At least one for each worker."
        ),
    )
    num_workers: Workers = Field(
        default=2,
        description=(
            "Processes that share each step; or [fewest, most], as many as the cluster has room"
            " for, anew whenever nodes come or go. On a single machine more than it has cores are"
            " refused."
        ),
    )
    checkpoint_every: Steps = Field(
        default=200,
        description=(
            "Steps from one snapshot to the next: a run that is killed or loses a node repeats at"
            " most so many."
        ),
    )
    evaluate_every: Steps = Field(
        default=200,
        description=(
            "Steps from one evaluation of the test error to the next; the loss is recorded ten"
            " times as often. With early stopping its evaluations come as often, and it counts for"
            " the result."
        ),
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description=(
            "Type that the network is computed in; everything else, and the parameters, stay in"
            " float32. bfloat16 is meant for GPUs: on CPUs it is no faster."
        ),
    )

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

    The root mean square of the scaled residual, over points of the training law that no step uses,
    is estimated every `evaluate_every` steps.
    """

    patience: Steps = Field(
        description=(
            "Training ends after so many evaluations without progress. 10 is a start: a short"
            " patience takes the noise of a high learning rate for the end."
        )
    )
    min_delta: float = Field(
        default=0.01,
        ge=0.0,
        lt=1.0,
        description=(
            "Progress is a relative fall of the residual by more than this, and by more than the"
            " standard error of the difference. Small falls add up until they count."
        ),
    )
    min_steps: int = Field(
        default=0,
        ge=0,
        le=10**9,
        description=(
            "Evaluations up to this step do not count against `patience`. Late in the decay of the"
            " learning rate is good: what a run learns while it falls is lost otherwise."
        ),
    )
    num_points: int = Field(
        default=1024,
        ge=16,
        le=10**8,
        description=(
            "Number of held-out points, in 16 independent groups. More make the residual sharper"
            " and an evaluation longer."
        ),
    )
    index_sets: int = Field(
        default=4,
        ge=2,
        le=10_000,
        description=(
            "Independent index sets a point of an estimator that samples: the mean square of the"
            " residual is estimated from all pairs of them, without bias. Exact estimators take"
            " one."
        ),
    )


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
