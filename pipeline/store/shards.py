"""Write a store: one call owns one shard, checksums are taken before anything is written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from pipeline.errors import StoreError
from pipeline.store import layout
from pipeline.store.config import Dataset
from pipeline.store.reader import block_checksum, position, read_block, region

# Large enough to compress and to transfer well, small enough to read a few samples alone.
_CHUNK_BYTES = 2**20


def create(
    path: Path,
    dataset: Dataset,
    num_inputs: int = 1,
    num_targets: int = 1,
    *,
    axes: Sequence[str] | None = None,
    meanings: Mapping[str, str] | None = None,
) -> None:
    """Create an empty store for `dataset`: no samples, and not marked complete.

    Each shard holds `samples_per_shard` samples in chunks of about 1 MiB, Zstandard level 1. `axes`
    are the names of the grid's axes, (x, y, z) if not given; `meanings` says in words what `inputs`
    and `targets` hold. All quantities are dimensionless.
    """
    axes = "xyz"[: len(dataset.grid)] if axes is None else axes
    group = zarr.create_group(path, zarr_format=3, overwrite=True)
    for name, channels in zip(layout.ARRAYS, (num_inputs, num_targets), strict=True):
        sample = (channels, *dataset.grid)
        shard = (dataset.samples_per_shard, *sample)
        group.create_array(
            name,
            shape=(dataset.num_samples, *sample),
            shards=shard,
            chunks=(_samples_per_chunk(shard, dataset.dtype), *sample),
            dtype=dataset.dtype,
            compressors=ZstdCodec(level=1),
            # A chunk that was never written then reads as NaN, which no stored block contains.
            fill_value=float("nan"),
            dimension_names=("sample", f"{name.removesuffix('s')}_channel", *axes),
            attributes={"long_name": (meanings or {}).get(name, name), "units": "1"},
        )


def _samples_per_chunk(shard: Sequence[int], dtype: str) -> int:
    """Return the smallest divisor of the shard's samples that gives chunks of 1 MiB, or all."""
    sample_bytes = int(np.prod(shard[1:])) * np.dtype(dtype).itemsize
    # A divisor, because a shard holds whole chunks.
    divisors = (n for n in range(1, shard[0] + 1) if shard[0] % n == 0)
    return next((n for n in divisors if n * sample_bytes >= _CHUNK_BYTES), shard[0])


def write_shard(array: zarr.Array[Any], index: int, block: np.ndarray) -> dict[str, Any]:
    """Write `block`, all of shard `index` along axis 0, to `array`; return its record.

    One call owns one shard, so tasks with distinct `index` never write the same file and need no
    lock; a retried task replaces the whole shard (the file appears by renaming). The record
    {"size", "file_crc32", "block_crc32"} is what the store's attributes keep; `block_crc32` is
    taken from memory before writing, so a second writer into the same shard cannot hide.

    Raises:
        StoreError: `array` is not sharded along axis 0 alone, there is no such shard, or `block`
            is not exactly one shard of the array's dtype.
    """
    where = f"{array.store_path}".removeprefix("file://")
    shard = _aligned_shard(array, where)
    if not 0 <= index < array.shape[0] // shard[0]:
        raise StoreError(
            f"{where}: expected a shard below {array.shape[0] // shard[0]}, got {index};"
            " one block is one shard"
        )
    if block.shape != shard or block.dtype != array.dtype:
        raise StoreError(
            f"{where}: shard {index} needs {shard} {array.dtype},"
            f" got {block.shape} {block.dtype}; pass one whole shard"
        )
    return write_block(array, (index, *[0] * (array.ndim - 1)), block)


def write_block(array: zarr.Array[Any], at: tuple[int, ...], block: np.ndarray) -> dict[str, Any]:
    """Write `block`, all of the shard at position `at` of the grid of shards; return its record.

    As `write_shard`, for arrays that are cut along several axes: the caller with position `at`
    is the only one that ever touches that file.

    Raises:
        StoreError: shards do not tile `array`, there is none at `at`, or `block` is not exactly
            one shard of the array's dtype.
    """
    where = f"{array.store_path}".removeprefix("file://")
    shard = tuple(array.shards or array.chunks)
    counts = tuple(-(-n // size) for n, size in zip(array.shape, shard, strict=True))
    if any(n % size for n, size in zip(array.shape, shard, strict=True)):
        raise StoreError(
            f"{where}: expected shards that divide {array.shape}, got {shard};"
            " recreate the array with whole shards"
        )
    if len(at) != len(counts) or not all(0 <= i < n for i, n in zip(at, counts, strict=True)):
        raise StoreError(f"{where}: expected a shard within {counts}, got {at}")
    if block.shape != shard or block.dtype != array.dtype:
        raise StoreError(
            f"{where}: shard {at} needs {shard} {array.dtype},"
            f" got {block.shape} {block.dtype}; pass one whole shard"
        )
    # Before writing: what another task writes into the same file then differs from the record.
    before = block_checksum(block)
    array[region(at, shard)] = block
    path = Path(where)
    file = layout.block_file(path.parent, path.name, at)
    return {
        "size": file.stat().st_size,
        "file_crc32": layout.file_checksum(file),
        "block_crc32": before,
    }


def _aligned_shard(array: zarr.Array[Any], where: str) -> tuple[int, ...]:
    """Return the shape of a shard; raise unless shards tile axis 0 and span all other axes."""
    shard = array.shards or array.chunks
    if shard[1:] != array.shape[1:] or array.shape[0] % shard[0]:
        raise StoreError(
            f"{where}: expected shards (n, *{array.shape[1:]}) with n dividing {array.shape[0]},"
            f" got {shard}; recreate the array with whole samples in every shard"
        )
    return tuple(shard)


def verify_shard(
    path: Path, name: str, index: int | tuple[int, ...], record: Mapping[str, Any]
) -> None:
    """Return if shard `index` of array `name` still decodes to the block that was recorded.

    Raises:
        StoreError: the file or its decoded block differs from `record`.
    """
    block = read_block(path, name, index)
    if (found := block_checksum(block)) != record["block_crc32"]:
        raise StoreError(
            f"{path}/{name}: shard {index}: expected block CRC-32 {record['block_crc32']},"
            f" got {found}; did two tasks write it? One task must own a whole shard"
        )
    file = layout.block_file(path, name, position(index, block.ndim))
    if (found := layout.file_checksum(file)) != record["file_crc32"]:
        raise StoreError(
            f"{path}/{name}: shard {index}: expected CRC-32 {record['file_crc32']}, got {found};"
            " rerun generate"
        )


def finalise(
    path: Path,
    dataset: Dataset,
    *,
    seed: int,
    config_digest: str,
    source_digest: str,
    records: Mapping[str, Sequence[Mapping[str, Any]]],
    coordinates: Mapping[str, np.ndarray] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Verify every shard against its record by reading it back, then mark the store complete.

    `records[name][index]` is what `write_shard` returned; `coordinates` are the nodes along the
    axes, by name; `notes` are further attributes. The attributes, `complete: true` included,
    appear in one rename; up to then readers refuse the store.

    Raises:
        StoreError: a shard is missing or does not decode to what its task had in memory.
    """
    num_shards = dataset.num_samples // dataset.samples_per_shard
    for name in layout.ARRAYS:
        if len(records[name]) != num_shards:
            raise StoreError(
                f"{path}/{name}: expected the records of {num_shards} shards,"
                f" got {len(records[name])}; rerun generate"
            )
        # Read back from the disk: a record alone says what was in memory, not what arrived.
        for index, record in enumerate(records[name]):
            verify_shard(path, name, index, record)
    group = zarr.open_group(path, mode="a", zarr_format=3)
    attributes: dict[str, Any] = {
        **(notes or {}),
        "schema_version": layout.SCHEMA_VERSION,
        "dataset": dataset.model_dump(mode="json"),
        "seed": seed,
        "config_digest": config_digest,
        "source_digest": source_digest,
        "shards": {name: [dict(record) for record in records[name]] for name in layout.ARRAYS},
        layout.COORDINATES: write_coordinates(group, coordinates or {}),
    }
    # zarr writes the group's metadata in one rename, so `complete` never appears without the rest.
    group.attrs.put({**attributes, "complete": True})


def write_coordinates(
    group: zarr.Group, coordinates: Mapping[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """Write the nodes along each axis, named as that axis is; return the record of each file.

    Readers that know dimension names (xarray) take such arrays as the coordinates.
    """
    records = {}
    for name, nodes in coordinates.items():
        array = group.create_array(
            name,
            shape=nodes.shape,
            chunks=nodes.shape,
            dtype=nodes.dtype,
            overwrite=True,
            compressors=ZstdCodec(level=1),
            dimension_names=(name,),
            attributes={"units": "1"},
        )
        records[name] = write_block(array, (0,), nodes)
    return records
