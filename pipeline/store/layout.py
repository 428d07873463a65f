"""Where everything lies in a store, and the check that a store is whole (stdlib only).

    <store>/zarr.json                    group; its attributes are the schema below
    <store>/inputs/{zarr.json,c/<shard>/0/...}     (num_samples, C_in, *grid)
    <store>/targets/{zarr.json,c/<shard>/0/...}    (num_samples, C_out, *grid)
    <store>/<axis>/{zarr.json,c/0}                 the nodes along each axis of the grid

Attributes: `schema_version` 1, `dataset` (configuration), `seed`, `config_digest`,
`source_digest`, `shards` (for each array and shard: `size` in bytes and `file_crc32` of the file,
`block_crc32` of the decoded block in C order), `coordinate_files` (the same of each axis),
`max_error`, `max_error_is` (what is meant by it), `worst_sample`, `tolerance`, and
`complete: true`, which is written last. Stores of earlier versions lack axes and errors.
The Snakefile imports this module at every parse, hence neither numpy nor zarr here.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import StoreError

if TYPE_CHECKING:
    from pipeline.store.config import Dataset, Trajectory

SCHEMA_VERSION = 1
ARRAYS = ("inputs", "targets")
COORDINATES = "coordinate_files"
MEANING_KEY = "max_error_is"
# A second of reading; every block of a larger store is checked when it is decoded.
FULL_CHECK_BYTES = 2**30
_REMEDY = "delete the folder and rerun generate"


def shard_file(path: Path, array: str, index: int, ndim: int) -> Path:
    """Return the file of shard `index` (along axis 0) of an array with `ndim` axes."""
    return block_file(path, array, (index, *[0] * (ndim - 1)))


def block_file(path: Path, array: str, at: Sequence[int]) -> Path:
    """Return the file of the shard at position `at` of an array's grid of shards."""
    return path.joinpath(array, "c", *map(str, at))


def checksum(data: bytes | memoryview, start: int = 0) -> int:
    """Return the CRC-32 of `data`, continued from `start`."""
    return zlib.crc32(data, start)


def file_checksum(path: Path) -> str:
    """Return the CRC-32 of a file as 8 hex digits; reads 1 MiB at a time."""
    crc = 0
    with path.open("rb") as file:
        # In pieces: a shard may be larger than what memory is left.
        while piece := file.read(2**20):
            crc = checksum(piece, crc)
    return f"{crc:08x}"


def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a complete store.

    Raises:
        StoreError: no store there, an unfinished one, or one of another schema version.
    """
    group = path / "zarr.json"
    if not group.exists():
        raise StoreError(f"{path}: expected a Zarr store, found no zarr.json; run generate")
    try:
        attributes = json.loads(group.read_text(encoding="utf-8"))["attributes"]
        if not isinstance(attributes, dict):
            raise TypeError("attributes are not a mapping")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{group}: expected the metadata of a store, got {error}; {_REMEDY}"
        ) from None
    if attributes.get("complete") is not True:
        raise StoreError(
            f"{path}: expected complete: true, got {attributes.get('complete')!r}"
            f" (its writer was interrupted); {_REMEDY}"
        )
    if attributes.get("schema_version") != SCHEMA_VERSION:
        raise StoreError(
            f"{path}: expected schema_version {SCHEMA_VERSION},"
            f" got {attributes.get('schema_version')!r}; {_REMEDY}"
        )
    return attributes


def check_store(
    path: Path,
    dataset: "Dataset | None" = None,
    seed: int | None = None,
    *,
    full_check_bytes: int = FULL_CHECK_BYTES,
) -> None:
    """Return if the store at `path` is complete and undamaged, else raise.

    Compares every shard file with its recorded size and, if the store holds at most
    `full_check_bytes`, with its recorded CRC-32 (0: sizes only). With `dataset` and `seed` the
    store must also come from that configuration. Guarantee: any changed, missing or truncated
    shard file is found by the full check (CRC-32, accidental damage); a reader verifies each
    block again when it decodes it. Cost: one pass over the files, about 1 s per GiB.

    Raises:
        StoreError: one line naming store, shard, expected, got, remedy.
    """
    attributes = read_attributes(path)
    if attributes.get("layout", "samples") != "samples":
        raise StoreError(
            f"{path}: expected a store of samples, got layout {attributes['layout']!r};"
            " see store/trajectory.py"
        )
    if dataset is not None:
        check_origin(path, attributes, dataset, seed)
    try:
        records = {name: list(attributes["shards"][name]) for name in ARRAYS}
        total = sum(record["size"] for name in ARRAYS for record in records[name])
        num_shards = (
            attributes["dataset"]["num_samples"] // attributes["dataset"]["samples_per_shard"]
        )
    except (KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: expected the record of its shards, got {error!r}; {_REMEDY}"
        ) from None
    for name in ARRAYS:
        ndim = _check_array(path, name, attributes["dataset"])
        if len(records[name]) != num_shards:
            raise StoreError(
                f"{path}/{name}: expected the record of {num_shards} shards,"
                f" got {len(records[name])}; {_REMEDY}"
            )
        for index, record in enumerate(records[name]):
            file = shard_file(path, name, index, ndim)
            check_file(path / name, index, file, record, full=total <= full_check_bytes)
    check_coordinates(path, attributes, full=total <= full_check_bytes)


def check_coordinates(path: Path, attributes: Mapping[str, Any], *, full: bool) -> None:
    """Raise `StoreError` unless the files of the axes are as recorded, as `check_file` does."""
    for name, record in attributes.get(COORDINATES, {}).items():
        check_file(path / name, 0, block_file(path, name, (0,)), record, full=full)


def check_tolerance(path: Path, dataset: "Dataset | Trajectory") -> None:
    """Return if the error that the complete store states is within the tolerance of `dataset`.

    A store of an earlier version states none that compares.

    Raises:
        StoreError: it is not, because the tolerance was larger when the store was made.
    """
    attributes = read_attributes(path)
    if MEANING_KEY not in attributes:
        return
    error, tolerance = attributes.get("max_error"), dataset.largest_error
    # `not <=` and not `>`: NaN misses every tolerance.
    if not isinstance(error, int | float) or not error <= tolerance:
        told = f"{error:.3g}" if isinstance(error, int | float) else repr(error)[:60]
        raise StoreError(
            f"{path}: expected a max_error of at most {tolerance:.3g} (tolerance), got {told};"
            " raise tolerance, or make the data set anew under another name on a finer grid"
        )


def check_origin(
    path: Path, attributes: Mapping[str, Any], dataset: "Dataset | Trajectory", seed: int | None
) -> None:
    """Raise `StoreError` unless the store was made from this configuration and seed."""
    # Not above: with nothing to compare, this module stands on the standard library alone.
    from pipeline.kinds import shaping

    # Of the dataset what shapes its numbers: a new tolerance, say, makes no other data.
    expected, found = shaping(dataset), attributes.get("dataset")
    held = found if isinstance(found, dict) else {}
    differing = sorted(key for key in expected if held.get(key) != expected[key])
    if differing:
        raise StoreError(
            f"{path}: expected the dataset of the experiment, got another"
            f" {', '.join(differing)}; {_REMEDY}"
        )
    if seed is not None and attributes.get("seed") != seed:
        raise StoreError(f"{path}: expected seed {seed}, got {attributes.get('seed')}; {_REMEDY}")


def _check_array(path: Path, name: str, dataset: Mapping[str, Any]) -> int:
    """Return the number of axes of an array after comparing its shape with the dataset."""
    try:
        # Read as JSON: the Snakefile imports this module, and zarr would slow its every parse.
        shape = json.loads((path / name / "zarr.json").read_text(encoding="utf-8"))["shape"]
        fits = shape[0] == dataset["num_samples"] and shape[2:] == list(dataset["grid"])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise StoreError(f"{path}/{name}: expected an array, got {error!r}; {_REMEDY}") from None
    if not fits:
        raise StoreError(
            f"{path}/{name}: expected shape ({dataset['num_samples']}, C, *{dataset['grid']}),"
            f" got {shape}; {_REMEDY}"
        )
    return len(shape)


def check_file(
    where: Path, index: object, file: Path, record: Mapping[str, Any], *, full: bool
) -> None:
    """Raise `StoreError` unless a shard's file has its recorded size and, if `full`, CRC-32."""
    try:
        size = file.stat().st_size
    except FileNotFoundError:
        raise StoreError(
            f"{where}: shard {index}: expected a file of {record['size']} bytes,"
            f" found none; {_REMEDY}"
        ) from None
    if size != record["size"]:
        raise StoreError(
            f"{where}: shard {index}: expected {record['size']} bytes, got {size}; {_REMEDY}"
        )
    if full and (found := file_checksum(file)) != record["file_crc32"]:
        raise StoreError(
            f"{where}: shard {index}: expected CRC-32 {record['file_crc32']},"
            f" got {found}; {_REMEDY}"
        )
