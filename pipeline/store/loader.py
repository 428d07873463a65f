"""Batches of torch tensors from a store, dealt over ranks shard by shard."""

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import StoreError
from pipeline.store.reader import Split, Store, open_store

_SHUFFLED_SHARDS = 8


class ShardLoader:
    """Yield the batches of one rank; every sample at most once an epoch over all ranks.

    An epoch puts the shards in random order and the samples of each shard in random order, cuts
    that sequence into `world_size` equal runs, and shuffles each run within windows of up to 8
    shards (fewer if the cache is smaller), so that a stream touches few shards at a time. All of
    it is a pure function of (seed, epoch, rank) and the constructor's arguments.

    Every rank gets `batches_per_epoch = n // (world_size * batch_size)` batches; the remaining
    n mod (world_size * batch_size) samples, different ones each epoch, are left out. If that is
    zero every sample is seen exactly once. Decoded, strided shards are cached (least recently
    used) within `cache_bytes`: small data is read once, large data streams.

    Args:
        store: an open store or its path.
        split: "train" or "test".
        batch_size: samples a batch on this rank.
        rank: this rank, 0 <= rank < world_size.
        world_size: number of ranks that share the split.
        seed: seed of all shuffling.
        grid_stride: keep every `grid_stride`-th grid point along each axis, starting at 0.
        cache_bytes: budget of decoded shards held in memory by this rank.

    Raises:
        StoreError: the split holds fewer than world_size * batch_size samples.
    """

    def __init__(
        self,
        store: Store | Path,
        split: Split,
        batch_size: int,
        rank: int,
        world_size: int,
        seed: int,
        grid_stride: int = 1,
        cache_bytes: int = 2**28,
    ) -> None:
        self.store = store if isinstance(store, Store) else open_store(store)
        self.split, self.batch_size, self.seed = split, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.grid_stride, self.cache_bytes = grid_stride, cache_bytes
        num_samples = self.store.num_samples(split)
        self.batches_per_epoch = num_samples // (world_size * batch_size)
        if not self.batches_per_epoch:
            raise StoreError(
                f"{self.store.path}: {split}: expected at least {world_size * batch_size} samples"
                f" ({world_size} ranks x batch {batch_size}), got {num_samples};"
                " use a smaller batch or a larger dataset"
            )
        self._cache: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self._cached_bytes = 0

    def order(self, epoch: int) -> np.ndarray:
        """Return the sample indices of this rank in `epoch`: (batches_per_epoch * batch_size,)."""
        size, num_shards = self.store.samples_per_shard, self.store.num_shards(self.split)
        shared = np.random.default_rng([self.seed, epoch])
        shards = shared.permutation(num_shards)
        samples = np.concatenate([shard * size + shared.permutation(size) for shard in shards])
        length = self.batches_per_epoch * self.batch_size
        mine = samples[self.rank * length : (self.rank + 1) * length]
        own = np.random.default_rng([self.seed, epoch, self.rank])
        window = self._window() * size
        pieces = [own.permutation(mine[at : at + window]) for at in range(0, length, window)]
        return np.concatenate(pieces)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (inputs, targets), each (batch_size, C, *strided grid), for every batch."""
        order = self.order(epoch).reshape(self.batches_per_epoch, self.batch_size)
        for batch in order:
            yield self._gather(batch)

    def _gather(self, samples: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return the batch of the given samples, in their order."""
        shards, rows = np.divmod(samples, self.store.samples_per_shard)
        batch: tuple[np.ndarray, ...] = ()
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
        while self._cached_bytes > self.cache_bytes and len(self._cache) > 1:
            _, dropped = self._cache.popitem(last=False)
            self._cached_bytes -= sum(field.nbytes for field in dropped)
        return inputs, targets

    def _strided(self, block: np.ndarray) -> np.ndarray:
        every = slice(None, None, self.grid_stride)
        return np.ascontiguousarray(block[(slice(None), slice(None), *[every] * (block.ndim - 2))])

    def _window(self) -> int:
        """Return how many shards are shuffled together: all of them must fit in the cache."""
        values = 0
        for channels, *grid in (self.store.input_shape, self.store.target_shape):
            values += channels * int(np.prod([-(-n // self.grid_stride) for n in grid]))
        shard_bytes = values * self.store.samples_per_shard * self.store.dtype.itemsize
        # One place is left for the shard that a run shares with its neighbour.
        return max(1, min(_SHUFFLED_SHARDS, self.cache_bytes // shard_bytes - 1))
