"""Configuration of a neural operator on a data set."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.kinds import File, Name
from pipeline.limits import Size, Steps, WeightDecay
from pipeline.models.union import AnyModel
from pipeline.training.config import Run, TrainSettings


class OperatorTraining(TrainSettings):
    """AdamW on stored samples, with one cycle of the learning rate."""

    num_epochs: Steps = Field(
        description=(
            "Passes over the training samples; 20 to 25 are usual here. The learning rate rises"
            " over the first fifth of them and has fallen to about zero at the end."
        )
    )
    weight_decay: WeightDecay = Field(
        default=1.0e-4,
        description=(
            "Weight decay of AdamW: each step shrinks the weights by learning rate · weight_decay."
            " Large values hold them near zero."
        ),
    )
    grid_stride: Size = Field(
        default=1,
        description=(
            "Training takes every grid_stride-th point of each axis, tests take all. It divides the"
            " points of an axis, or the intervals where both ends have nodes; a coarser grid is"
            " faster and has to hold the `modes`."
        ),
    )


class OperatorRun(Run):
    """A neural operator trained on a dataset of this experiment."""

    task: ClassVar[Literal["pinn", "operator"]] = "operator"
    neutral: ClassVar[frozenset[str]] = frozenset({"initial_checkpoint"})
    stage_modules: ClassVar[tuple[str, ...]] = (
        "pipeline.training.stage",
        "pipeline.training.operator.task",
    )

    dataset: Name = Field(
        description="Name of the dataset of this experiment to learn: one of samples, no flow."
    )
    model: AnyModel = Field(description="The network, from input fields to target fields.")
    train: OperatorTraining = Field(description="How the network is trained.")
    initial_checkpoint: File | None = Field(
        default=None,
        description=(
            "Folder `checkpoint` of a finished run with this model, from the working directory:"
            " training starts from its weights, which count for the result, where the path does"
            " not. If a run of this experiment makes it, that run comes first; another model is"
            " refused before any job."
        ),
    )
