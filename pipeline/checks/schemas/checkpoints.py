"""The description of a trained model, beside its weights."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from pipeline.checks.schemas.base import (
    Count,
    Crc32,
    JsonObject,
    SchemaVersion,
    Sha256,
    as_in_experiment,
)
from pipeline.limits import Seed
from pipeline.models.union import AnyModel
from pipeline.networks.union import AnyNetwork


class Shapes(JsonObject):
    """Shapes of what a network takes and gives, without the number of points or samples."""

    input_shape: list[int]
    output_shape: list[int]


class Normalisation(JsonObject):
    """Mean and standard deviation of the training data by channel."""

    input_mean: list[float]
    input_std: list[float]
    target_mean: list[float]
    target_std: list[float]


class OperatorShapes(Shapes):
    """Shapes of fields, (channels, *grid), and the normalisation that the model contains."""

    training_grid: list[int]
    normalisation: Normalisation


class Checkpoint(JsonObject):
    """What the checkpoints of all runs share; `model.pt` beside it holds the numbers."""

    schema_version: SchemaVersion
    config_digest: Sha256
    seed: Seed
    size: Count
    """Bytes of `model.pt`."""
    crc32: Crc32
    """Of `model.pt`."""


class PinnCheckpoint(Checkpoint):
    """A coordinate network."""

    kind: Literal["pinn"]
    model: Annotated[AnyNetwork, as_in_experiment("PinnRun/properties/model")]
    description: Shapes


class OperatorCheckpoint(Checkpoint):
    """A neural operator."""

    kind: Literal["operator"]
    model: Annotated[AnyModel, as_in_experiment("OperatorRun/properties/model")]
    description: OperatorShapes


AnyCheckpoint = Annotated[PinnCheckpoint | OperatorCheckpoint, Field(discriminator="kind")]


class Model(RootModel[AnyCheckpoint]):
    """`checkpoint/model.json`: what a reader of the weights needs to know."""
