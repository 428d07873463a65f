import itertools
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.datagen.sample import generate_block
from pipeline.errors import StoreError
from pipeline.parallel.shares import share
from pipeline.store import layout, shards
from pipeline.store.config import Dataset
from pipeline.store.loader import ShardLoader
from pipeline.store.reader import Store, open_store


def dataset(num_shards, size, dtype="float32", grid=(8,)):
    kind = {1: {"kind": "burgers", "viscosity": 0.1}, 2: {"kind": "darcy"}}[len(grid)]
    return Dataset(
        problem=kind,
        grid=grid,
        num_samples=num_shards * size,
        num_test=size,
        samples_per_shard=size,
        dtype=dtype,
    )


def complete_store(path, data, values):
    shards.create(path, data)
    records = {}
    for name, field in values.items():
        array = zarr.open_array(path / name, mode="r+")
        blocks = field.reshape(-1, data.samples_per_shard, *field.shape[1:])
        records[name] = [shards.write_shard(array, i, block) for i, block in enumerate(blocks)]
    shards.finalise(path, data, seed=0, config_digest="", source_digest="", records=records)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_finite_values_survive_the_round_trip_bit_for_bit(data):
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    grid = data.draw(st.sampled_from([(8,), (9, 8)]))
    spec = dataset(data.draw(st.integers(2, 4)), data.draw(st.integers(1, 5)), dtype, grid)
    elements = st.floats(width=8 * np.dtype(dtype).itemsize, allow_nan=False, allow_infinity=False)
    shape = (spec.num_samples, 1, *grid)
    values = {
        name: data.draw(hnp.arrays(dtype, shape, elements=elements)) for name in layout.ARRAYS
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zarr"
        complete_store(path, spec, values)
        layout.check_store(path, spec, 0)
        store = open_store(path)
        for name in layout.ARRAYS:
            splits = [("train", i) for i in range(store.num_shards("train"))] + [("test", 0)]
            found = np.concatenate([store.read_shard(*where)[name] for where in splits])
            assert found.dtype == np.dtype(dtype) and found.tobytes() == values[name].tobytes()


@pytest.fixture(scope="module")
def small_store(tmp_path_factory):
    path, spec = tmp_path_factory.mktemp("store") / "a.zarr", dataset(3, 4)
    rng = np.random.default_rng(0)
    values = {name: rng.standard_normal((12, 1, 8)).astype("f4") for name in layout.ARRAYS}
    complete_store(path, spec, values)
    return path


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_changed_byte_of_a_shard_is_found(small_store, data):
    name = data.draw(st.sampled_from(layout.ARRAYS))
    index = data.draw(st.integers(0, 2))
    file = layout.shard_file(small_store, name, index, 3)
    original = file.read_bytes()
    at = data.draw(st.integers(0, len(original) - 1))
    changed = bytearray(original)
    changed[at] ^= data.draw(st.integers(1, 255))
    file.write_bytes(changed)
    try:
        with pytest.raises(StoreError, match=f"{name}: shard {index}: expected CRC-32"):
            layout.check_store(small_store)
    finally:
        file.write_bytes(original)
    layout.check_store(small_store)


def pretend_store(num_shards, size):
    """A store whose order can be asked for without any data."""
    return Store(
        path=Path("none"),
        dataset=dataset(num_shards + 1, size).model_dump(mode="json"),
        seed=0,
        config_digest="",
        input_shape=(1, 8),
        target_shape=(1, 8),
        dtype=np.dtype("float32"),
        _checksums={},
    )


@settings(max_examples=150, deadline=None)
@given(
    num_shards=st.integers(1, 40),
    size=st.integers(1, 12),
    batch=st.integers(1, 40),
    seed=st.integers(0, 2**32),
    epoch=st.integers(0, 1000),
    cache=st.sampled_from([0, 1000, 2**28]),
)
def test_an_epoch_deals_every_sample_once(num_shards, size, batch, seed, epoch, cache):
    store, total = pretend_store(num_shards, size), num_shards * size
    if total < batch:
        with pytest.raises(StoreError):
            ShardLoader(store, "train", batch, seed)
        return
    loader = ShardLoader(store, "train", batch, seed, cache_bytes=cache)
    order = loader.order(epoch)
    # What is left out is less than one batch; nothing if it divides evenly.
    assert order.shape == (total // batch, batch)
    assert len(np.unique(order)) == order.size and order.min() >= 0 and order.max() < total
    # A pure function: asked again, out of order and of a fresh loader, the same answer.
    loader.order(epoch + 1)
    again = ShardLoader(store, "train", batch, seed, cache_bytes=cache)
    np.testing.assert_array_equal(loader.order(epoch), order)
    np.testing.assert_array_equal(again.order(epoch), order)


@settings(max_examples=100, deadline=None)
@given(
    num_shards=st.integers(2, 200),
    size=st.integers(2, 30),
    batch=st.integers(1, 64),
    world=st.sampled_from([1, 2, 3, 4, 8, 20]),
    room=st.sampled_from([2, 4, 8, 16, 32]),
    data=st.data(),
)
def test_each_rank_streams_its_part_of_the_store(num_shards, size, batch, world, room, data):
    """Ranks put together see every batch; each reads the shards of its lanes about once."""
    store, shard_bytes = pretend_store(num_shards, size), 2 * 8 * 4 * size
    assume(world <= batch <= num_shards * size)
    rank = data.draw(st.integers(0, world - 1))
    whole = ShardLoader(store, "train", batch, 0, cache_bytes=room * shard_bytes)
    lanes, (steps, _) = whole.num_lanes, whole.order(0).shape
    mine = share(batch, rank, world)
    edges = [lane * batch // lanes for lane in range(lanes + 1)]
    widths = [b - a for a, b in pairwise(edges) if a < mine.stop and b > mine.start]
    # A rank sees few lanes, and so few shards at a time.
    assert len(widths) <= -(-lanes // world) + 1
    touched = whole.order(0)[:, mine] // size
    for step in touched:
        most = sum(-(-(width - 1) // size) + 1 for width in widths)
        assert len(np.unique(step)) <= most
    # Its lanes are neighbours in the epoch: whole shards but for both ends.
    assert len(np.unique(touched)) <= -(-sum(widths) * steps // size) + 1

    # With room for two shards a lane, a lane reads a shard once.
    assume(all(2 * width <= size + 1 for width in widths))
    reads = []
    loader = ShardLoader(
        Counting(**vars(store), reads=reads), "train", batch, 0,
        positions=mine, cache_bytes=room * shard_bytes,
    )  # fmt: skip
    for _ in loader.epoch(0):
        pass
    assert len(reads) <= sum(-(-width * steps // size) + 1 for width in widths)


@dataclass(frozen=True)
class Counting(Store):
    """A store of zeros that keeps which shards are read."""

    reads: list[int]

    def read_shard(self, split, index):
        self.reads.append(index)
        return dict.fromkeys(layout.ARRAYS, np.zeros((self.samples_per_shard, 1, 8), "f4"))


@given(st.integers(1, 200), st.integers(1, 50))
def test_shares_cover_a_batch_evenly(batch, world):
    shares = [share(batch, rank, world) for rank in range(world)]
    assert [*itertools.chain(*(range(batch)[part] for part in shares))] == [*range(batch)]
    sizes = {len(range(batch)[part]) for part in shares}
    assert max(sizes) - min(sizes) <= 1


@settings(max_examples=20, deadline=None)
@given(
    grid=st.sampled_from([(64,), (12, 15)]),
    seed=st.integers(0, 2**64),
    first=st.integers(0, 10**6),
    cuts=st.sets(st.integers(1, 39), max_size=4),
)
def test_division_into_shards_does_not_change_the_data(grid, seed, first, cuts):
    # On so few points Darcy data are right to a fifth, which does not matter here.
    spec = dataset(40, 1, "float64", grid).model_copy(update={"tolerance": 0.5})
    whole = generate_block(spec, seed, first, 40)
    edges = [0, *sorted(cuts), 40]
    pieces = [
        generate_block(spec, seed, first + a, b - a)
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]
    for number in range(2):
        joined = np.concatenate([piece[number] for piece in pieces])
        assert joined.tobytes() == whole[number].tobytes()
    assert len(np.unique(whole[0].reshape(40, -1), axis=0)) == 40
