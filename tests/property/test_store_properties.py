import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.config import Dataset
from pipeline.datagen.sample import generate_block
from pipeline.errors import StoreError
from pipeline.store import layout, shards
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
    batch=st.integers(1, 10),
    world=st.integers(1, 5),
    seed=st.integers(0, 2**32),
    epoch=st.integers(0, 1000),
    cache=st.sampled_from([0, 1000, 2**28]),
)
def test_an_epoch_deals_every_sample_once(num_shards, size, batch, world, seed, epoch, cache):
    store, total = pretend_store(num_shards, size), num_shards * size
    if total < world * batch:
        with pytest.raises(StoreError):
            ShardLoader(store, "train", batch, 0, world, seed)
        return
    loaders = [
        ShardLoader(store, "train", batch, rank, world, seed, cache_bytes=cache)
        for rank in range(world)
    ]
    orders = [loader.order(epoch) for loader in loaders]
    # Every rank does the same number of batches, no sample comes twice on any rank.
    assert {len(order) for order in orders} == {loaders[0].batches_per_epoch * batch}
    dealt = np.concatenate(orders)
    assert len(np.unique(dealt)) == len(dealt) and dealt.min() >= 0 and dealt.max() < total
    # What is left out is less than one batch of all ranks; nothing if it divides evenly.
    assert total - len(dealt) == total % (world * batch)
    # A pure function: asked again, out of order, the same answer.
    loaders[-1].order(epoch + 1)
    np.testing.assert_array_equal(loaders[-1].order(epoch), orders[-1])


@settings(max_examples=20, deadline=None)
@given(
    grid=st.sampled_from([(64,), (12, 15)]),
    seed=st.integers(0, 2**64),
    first=st.integers(0, 10**6),
    cuts=st.sets(st.integers(1, 39), max_size=4),
)
def test_division_into_shards_does_not_change_the_data(grid, seed, first, cuts):
    spec = dataset(40, 1, "float64", grid)
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
