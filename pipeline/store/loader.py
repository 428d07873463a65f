"""Batches of torch tensors from a store, or a part of each, read shard by shard."""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import StoreError
from pipeline.parallel.streams import of_order
from pipeline.store.reader import Split, Store, open_store

_MAX_LANES = 16


class ShardLoader:
    """Yield the batches of an epoch, or some positions of each; no sample twice in an epoch.

    The batch of (seed, epoch, index) does not depend on who reads which positions of it. An epoch
    puts the shards in random order and the samples of each shard in random order. That sequence is
    cut into lanes, runs of consecutive samples, and lane l of L fills the positions from
    l·B // L to (l + 1)·B // L of every batch. A batch so mixes L shards, and a process that reads
    1/W of the positions reads the shards of the lanes there: 1/W of the store and a shard a lane
    if W divides L. If W > L, each shard is read by W / L processes.

    L is 1, 2, 4, 8 or 16: no more than `batch_size`, nor than `cache_bytes` has room for two
    shards a lane (the one it leaves and the one it enters). Lanes are few where shards are large:
    at the default budget 16 up to 8 MiB a strided shard, 1 beyond 64 MiB.

    An epoch has `batches_per_epoch = n // batch_size` batches; the remaining n mod batch_size
    samples, different ones each epoch, are left out. Decoded, strided shards are cached (least
    recently used) within `cache_bytes`: small data is read once, large data streams.

    Args:
        store: an open store or its path.
        split: "train" or "test".
        batch_size: samples in a whole batch.
        seed: seed of all shuffling.
        positions: the part of every batch that is read.
        grid_stride: keep every `grid_stride`-th grid point along each axis, starting at 0.
        cache_bytes: budget of decoded shards held in memory; it shapes the batches, so every
            reader of a run must be given the same.

    Raises:
        StoreError: the split holds fewer than `batch_size` samples.
    """

    def __init__(
        self,
        store: Store | Path,
        split: Split,
        batch_size: int,
        seed: int,
        *,
        positions: slice = slice(None),
        grid_stride: int = 1,
        cache_bytes: int = 2**28,
    ) -> None:
        self.store = store if isinstance(store, Store) else open_store(store)
        self.split, self.batch_size, self.seed = split, batch_size, seed
        self.positions, self.grid_stride, self.cache_bytes = positions, grid_stride, cache_bytes
        num_samples = self.store.num_samples(split)
        self.batches_per_epoch = num_samples // batch_size
        if not self.batches_per_epoch:
            raise StoreError(
                f"{self.store.path}: {split}: expected at least {batch_size} samples (one batch),"
                f" got {num_samples}; use a smaller batch or a larger dataset"
            )
        # Two shards a lane: at a border a batch reads from the one it leaves and the one it enters.
        room = cache_bytes // (2 * self._shard_bytes())
        # A power of two: what most numbers of processes divide.
        self.num_lanes = 1 << max(1, min(_MAX_LANES, batch_size, room)).bit_length() - 1
        self._cache: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self._cached_bytes = 0

    def order(self, epoch: int) -> np.ndarray:
        """Return the samples of every whole batch of `epoch`: (batches_per_epoch, batch_size)."""
        size, num_shards = self.store.samples_per_shard, self.store.num_shards(self.split)
        # From seed and epoch alone: every process finds the same order without a message.
        rng = of_order(self.seed, epoch)
        shards = rng.permutation(num_shards)
        samples = np.concatenate([shard * size + rng.permutation(size) for shard in shards])
        steps = self.batches_per_epoch
        # Rounded down for each edge, so that lanes fill the batch whether or not they divide it.
        edges = [lane * self.batch_size // self.num_lanes for lane in range(self.num_lanes + 1)]
        # Consecutive samples for the positions of a lane: it goes from shard to shard.
        lanes = [samples[a * steps : b * steps].reshape(steps, b - a) for a, b in pairwise(edges)]
        return np.concatenate(lanes, axis=1)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (inputs, targets), each (positions, C, *strided grid), of batches first, ..."""
        for batch in self.order(epoch)[first:, self.positions]:
            yield self._gather(batch)

    def _gather(self, samples: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return the batch of the given samples, in their order."""
        shards, rows = np.divmod(samples, self.store.samples_per_shard)
        batch: tuple[np.ndarray, ...] = ()
        # Shard by shard: each is decoded once a batch even if the cache holds a single one.
        for shard in np.unique(shards):
            fields = self._shard(int(shard))
            if not batch:
                batch = tuple(np.empty((len(samples), *f.shape[1:]), f.dtype) for f in fields)
            here = shards == shard
            for out, field in zip(batch, fields, strict=True):
                out[here] = field[rows[here]]
        return torch.from_numpy(batch[0]), torch.from_numpy(batch[1])

    def _shard(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the strided fields of one shard, from the cache if they are there."""
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        blocks = self.store.read_shard(self.split, index)
        inputs, targets = (self._strided(blocks[name]) for name in ("inputs", "targets"))
        self._cache[index] = inputs, targets
        self._cached_bytes += inputs.nbytes + targets.nbytes
        # The shard just read stays even if it alone exceeds the budget.
        while self._cached_bytes > self.cache_bytes and len(self._cache) > 1:
            _, dropped = self._cache.popitem(last=False)
            self._cached_bytes -= sum(field.nbytes for field in dropped)
        return inputs, targets

    def _strided(self, block: np.ndarray) -> np.ndarray:
        every = slice(None, None, self.grid_stride)
        # A copy where it is strided: a view would keep the whole shard in memory.
        return np.ascontiguousarray(block[(slice(None), slice(None), *[every] * (block.ndim - 2))])

    def _shard_bytes(self) -> int:
        """Return the size of a strided shard in memory."""
        values = 0
        for channels, *grid in (self.store.input_shape, self.store.target_shape):
            values += channels * int(np.prod([-(-n // self.grid_stride) for n in grid]))
        return values * self.store.samples_per_shard * self.store.dtype.itemsize
