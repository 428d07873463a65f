"""The attributes of a store, in its `zarr.json`."""

from typing import Annotated, Literal

from pydantic import RootModel

from pipeline.checks.schemas.base import (
    Count,
    Crc32,
    JsonObject,
    SchemaVersion,
    Sha256,
    as_in_experiment,
)
from pipeline.limits import Seed
from pipeline.store.config import Dataset, Trajectory


class Shard(JsonObject):
    """One file of an array."""

    size: Count
    """Bytes."""
    file_crc32: Crc32
    """Of the file."""
    block_crc32: Crc32
    """Of the decoded block in C order, taken before it was written."""


class PlacedShard(Shard):
    """A shard of an array that is cut along several axes."""

    at: list[Count]
    """Position in the grid of shards."""


class SampleShards(JsonObject):
    """Shards along the first axis, in order."""

    inputs: list[Shard]
    targets: list[Shard]


class FlowShards(JsonObject):
    """Slabs of the velocity field, and the tables, each one shard."""

    velocity: list[PlacedShard]
    diagnostics: list[PlacedShard]
    spectrum: list[PlacedShard]


class StoreAttributes(JsonObject):
    """What stores of samples and trajectories share."""

    schema_version: SchemaVersion
    seed: Seed
    config_digest: Sha256
    source_digest: Sha256
    coordinate_files: dict[str, Shard]
    """The nodes along each axis, by its name."""
    max_error: float
    """Estimated largest error, relative in L2; empirical."""
    max_error_is: str
    """What is meant by `max_error`."""
    tolerance: float
    """Data with a larger error were refused."""
    complete: Literal[True]
    """Written last: a store without it is unfinished."""


class Samples(StoreAttributes):
    """Independent pairs of input and target fields."""

    dataset: Annotated[Dataset, as_in_experiment("Dataset")]
    shards: SampleShards
    worst_sample: Count
    """Index of the sample with `max_error`."""


class FlowInTime(StoreAttributes):
    """One flow at several times."""

    layout: Literal["trajectory"]
    dataset: Annotated[Trajectory, as_in_experiment("Trajectory")]
    columns: list[str]
    """Names of the columns of `diagnostics`."""
    shards: FlowShards
    worst_snapshot: Count
    """Index of the snapshot with `max_error`."""


class Store(RootModel[Samples | FlowInTime]):
    """The `attributes` in the `zarr.json` of a store."""
