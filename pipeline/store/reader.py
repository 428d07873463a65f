"""Read a store one verified shard at a time (numpy and zarr; no torch)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr

from pipeline.errors import StoreError
from pipeline.store import layout

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Store:
    """A complete store; the last `num_test` samples are the test split.

    `input_shape` and `target_shape` are (C, *grid) of one sample; `dataset` is the configuration
    it was generated from, `config_digest` its digest.
    """

    path: Path
    dataset: dict[str, Any]
    seed: int
    config_digest: str
    input_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _checksums: dict[str, list[str]]

    @property
    def samples_per_shard(self) -> int:
        """Return the number of samples in every shard."""
        return int(self.dataset["samples_per_shard"])

    def num_samples(self, split: Split) -> int:
        """Return the number of samples in a split."""
        test = int(self.dataset["num_test"])
        return test if split == "test" else int(self.dataset["num_samples"]) - test

    def num_shards(self, split: Split) -> int:
        """Return the number of shards in a split."""
        return self.num_samples(split) // self.samples_per_shard

    def read_shard(self, split: Split, index: int) -> dict[str, np.ndarray]:
        """Return {"inputs", "targets"} of shard `index` of a split: (samples_per_shard, C, *grid).

        Raises:
            StoreError: no such shard, an undecodable file, or a block whose CRC-32 differs from
                the one computed in memory before it was written.
        """
        if not 0 <= index < self.num_shards(split):
            raise StoreError(
                f"{self.path}: {split}: expected a shard below {self.num_shards(split)},"
                f" got {index}; shards are counted within the split"
            )
        # Tests are the last samples, and whole shards: a shard belongs to one split.
        offset = 0 if split == "train" else self.num_shards("train")
        return {name: self._read(name, offset + index) for name in layout.ARRAYS}

    def _read(self, name: str, index: int) -> np.ndarray:
        block = read_block(self.path, name, index)
        expected, found = self._checksums[name][index], block_checksum(block)
        if found != expected:
            raise StoreError(
                f"{self.path}/{name}: shard {index}: expected block CRC-32 {expected}, got {found}"
                " (damaged on disk, or written by two tasks); delete the folder and rerun generate"
            )
        return block


def open_store(path: Path) -> Store:
    """Return the store at `path` after checking that it is complete and no file changed size.

    Raises:
        StoreError: see `layout.check_store`.
    """
    path = Path(path)
    # Sizes only: `read_shard` compares the checksum of every block that it decodes.
    layout.check_store(path, full_check_bytes=0)
    attributes = layout.read_attributes(path)
    inputs, targets = (zarr.open_array(path / name, mode="r") for name in layout.ARRAYS)
    return Store(
        path=path,
        dataset=attributes["dataset"],
        seed=attributes["seed"],
        config_digest=attributes["config_digest"],
        input_shape=inputs.shape[1:],
        target_shape=targets.shape[1:],
        dtype=inputs.dtype,
        _checksums={
            name: [record["block_crc32"] for record in attributes["shards"][name]]
            for name in layout.ARRAYS
        },
    )


def read_block(path: Path, name: str, index: int | tuple[int, ...]) -> np.ndarray:
    """Return the decoded block of shard `index` of array `name`, unverified.

    `index` counts shards along axis 0, or is a position in the array's grid of shards.

    Raises:
        StoreError: the file is missing or does not decode.
    """
    try:
        array = zarr.open_array(path / name, mode="r")
        at = position(index, array.ndim)
        # A missing file would otherwise decode silently as the fill value.
        if not layout.block_file(path, name, at).exists():
            raise FileNotFoundError("no such file")
        block = array[region(at, array.shards or array.chunks)]
    except Exception as error:  # codecs raise whatever their library raises
        raise StoreError(
            f"{path}/{name}: shard {index}: expected a readable block, got {error};"
            " delete the folder and rerun generate"
        ) from error
    return np.ascontiguousarray(block)


def position(index: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """Return the position in the grid of shards that `index` names."""
    return index if isinstance(index, tuple) else (index, *[0] * (ndim - 1))


def region(at: tuple[int, ...], shard: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the part of an array that the shard at position `at` holds."""
    return tuple(slice(i * n, (i + 1) * n) for i, n in zip(at, shard, strict=True))


def block_checksum(block: np.ndarray) -> str:
    """Return the CRC-32 (8 hex digits) of the values of a block in C order, little-endian."""
    # Of values, not of a layout in memory: another machine or stride has the same checksum.
    values = np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("<"))
    return f"{layout.checksum(values.data.cast('B')):08x}"
