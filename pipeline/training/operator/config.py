"""Configuration of a neural operator on a data set."""

from typing import ClassVar, Literal

from pipeline.kinds import File, Name
from pipeline.limits import Size, Steps, WeightDecay
from pipeline.models.union import AnyModel
from pipeline.training.config import Run, TrainSettings


class OperatorTraining(TrainSettings):
    """Adam on stored samples; `batch_size` samples a step over all workers."""

    num_epochs: Steps
    weight_decay: WeightDecay = 1.0e-4
    grid_stride: Size = 1


class OperatorRun(Run):
    """A neural operator trained on a dataset of this experiment.

    Of `initial_checkpoint`, a path from the working directory, the weights found there count.
    """

    task: ClassVar[Literal["pinn", "operator"]] = "operator"
    neutral: ClassVar[frozenset[str]] = frozenset({"initial_checkpoint"})
    stage_modules: ClassVar[tuple[str, ...]] = (
        "pipeline.training.stage",
        "pipeline.training.operator.task",
    )

    dataset: Name
    model: AnyModel
    train: OperatorTraining
    initial_checkpoint: File | None = None
