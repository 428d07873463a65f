"""Write and read the trajectory of a flow: see `trajectory` for the layout."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from pipeline.errors import StoreError
from pipeline.store import layout, shards, trajectory
from pipeline.store.config import Trajectory

_CHUNK_BYTES = 2**20


def create(path: Path, dataset: Trajectory) -> None:
    """Create an empty store for `dataset`: no snapshots, and not marked complete.

    A shard is the slab of one rank of one snapshot, in chunks of planes of one velocity component,
    each about 1 MiB, Zstandard level 1.
    """
    num_points = dataset.grid[0]
    planes = num_points // dataset.ranks
    plane_bytes = num_points**2 * np.dtype(dataset.dtype).itemsize
    divisors = (n for n in range(1, planes + 1) if planes % n == 0)
    chunk = next((n for n in divisors if n * plane_bytes >= _CHUNK_BYTES), planes)
    zarr.create_group(path, zarr_format=3, overwrite=True).create_array(
        "velocity",
        shape=(dataset.num_snapshots + 1, 3, *dataset.grid),
        # One rank writes a whole file: two that share one would need a lock.
        shards=(1, 3, planes, num_points, num_points),
        # One component each: a reader of one does not decode the others.
        chunks=(1, 1, chunk, num_points, num_points),
        dtype=dataset.dtype,
        compressors=ZstdCodec(level=1),
        # A chunk that was never written then reads as NaN, which no stored block contains.
        fill_value=float("nan"),
        dimension_names=trajectory.DIMENSIONS["velocity"],
        attributes={"long_name": "velocity", "units": "1"},
    )


def write_slab(path: Path, snapshot: int, rank: int, velocity: np.ndarray) -> dict[str, Any]:
    """Write one rank's slab (3, N/P, N, N) of one snapshot; return its record, `at` included.

    Raises:
        StoreError: the slab is not exactly one shard, or is not finite.
    """
    if not np.isfinite(velocity).all():
        raise StoreError(
            f"{path}/velocity: shard {(snapshot, rank)}: expected finite {velocity.dtype} values,"
            " got inf or nan; use float64"
        )
    array = zarr.open_array(path / "velocity", mode="r+")
    at = (snapshot, 0, rank, 0, 0)
    return {"at": list(at), **shards.write_block(array, at, velocity[None])}


def verify(path: Path, name: str, record: Mapping[str, Any]) -> None:
    """Raise `StoreError` unless a shard still decodes to the block that was recorded."""
    shards.verify_shard(path, name, tuple(record["at"]), record)


def finalise(
    path: Path,
    dataset: Trajectory,
    *,
    seed: int,
    config_digest: str,
    source_digest: str,
    velocity: Sequence[Mapping[str, Any]],
    tables: Mapping[str, np.ndarray],
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write the small tables and mark the store complete; its slabs must have been verified.

    `velocity`: the records of all slabs; `tables`: `diagnostics` and `spectrum`; `notes`: further
    attributes. The attributes,
    `complete: true` included, appear in one rename; up to then readers refuse the store.

    Raises:
        StoreError: a slab has no record, or a table does not decode to what was written.
    """
    expected = (dataset.num_snapshots + 1) * dataset.ranks
    # As a set: the same slab twice must not stand for one that is missing.
    if len({tuple(record["at"]) for record in velocity}) != expected:
        raise StoreError(
            f"{path}/velocity: expected the records of {expected} shards, got {len(velocity)};"
            " rerun generate"
        )
    group = zarr.open_group(path, mode="a", zarr_format=3)
    records = {"velocity": [dict(record) for record in velocity]}
    for name, table in tables.items():
        array = group.create_array(
            name, shape=table.shape, chunks=table.shape, dtype="float64", overwrite=True,
            compressors=ZstdCodec(level=1), fill_value=float("nan"),
            dimension_names=trajectory.DIMENSIONS[name],
        )  # fmt: skip
        # Small tables are written by one rank and checked at once.
        record = {"at": [0, 0], **shards.write_block(array, (0, 0), table)}
        verify(path, name, record)
        records[name] = [record]
    attributes: dict[str, Any] = {
        **(notes or {}),
        "schema_version": layout.SCHEMA_VERSION,
        "layout": trajectory.LAYOUT,
        "dataset": dataset.model_dump(mode="json"),
        "seed": seed,
        "config_digest": config_digest,
        "source_digest": source_digest,
        "columns": list(trajectory.DIAGNOSTICS),
        "shards": records,
        layout.COORDINATES: shards.write_coordinates(group, _coordinates(dataset)),
    }
    # zarr writes the group's metadata in one rename, so `complete` never appears without the rest.
    group.attrs.put({**attributes, "complete": True})


def _coordinates(dataset: Trajectory) -> dict[str, np.ndarray]:
    """Return the time of each snapshot and the nodes along the axes of the cube of side 2π."""
    count = dataset.num_snapshots
    times = dataset.problem.final_time * np.arange(count + 1) / count
    # Periodic: the node at 2 pi is that at 0.
    nodes = 2 * np.pi * np.arange(dataset.grid[0]) / dataset.grid[0]
    return {"time": times, **dict.fromkeys("xyz", nodes)}


def read_snapshot(path: Path, snapshot: int) -> np.ndarray:
    """Return the velocity (3, N, N, N) of one snapshot of a complete store, every slab verified.

    Raises:
        StoreError: no complete trajectory there, no such snapshot, or a damaged slab.
    """
    records = layout.read_attributes(path)["shards"]["velocity"]
    mine = [record for record in records if record["at"][0] == snapshot]
    if not mine:
        raise StoreError(f"{path}/velocity: expected a stored snapshot, got {snapshot}")
    for record in mine:
        verify(path, "velocity", record)
    return np.asarray(zarr.open_array(path / "velocity", mode="r")[snapshot])


def read_table(path: Path, name: str) -> np.ndarray:
    """Return `diagnostics` or `spectrum` of a complete store, verified.

    Raises:
        StoreError: no complete trajectory there, or a damaged table.
    """
    (record,) = layout.read_attributes(path)["shards"][name]
    verify(path, name, record)
    return np.asarray(zarr.open_array(path / name, mode="r")[:])
