import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr

from pipeline.errors import StoreError
from pipeline.store import layout, shards
from pipeline.store.config import Dataset
from pipeline.store.loader import ShardLoader
from pipeline.store.reader import open_store

SIZE, GRID = 4, 16


def make_dataset(num_samples=16, num_test=4, **more):
    problem = {"kind": "burgers", "viscosity": 0.1}
    return Dataset(
        problem=problem,
        grid=(GRID,),
        num_samples=num_samples,
        num_test=num_test,
        samples_per_shard=SIZE,
        **more,
    )


def fields(dataset):
    """Every value is different, so that a lost or misplaced one shows."""
    count = dataset.num_samples * GRID
    values = np.arange(1, 2 * count + 1, dtype=dataset.dtype).reshape(2, -1, 1, GRID)
    return {"inputs": values[0], "targets": values[1]}


def write(path, dataset):
    """Write all shards of `fields`; return their records."""
    shards.create(path, dataset)
    records = {}
    for name, values in fields(dataset).items():
        array = zarr.open_array(path / name, mode="r+")
        blocks = np.split(values, dataset.num_samples // SIZE)
        records[name] = [shards.write_shard(array, i, block) for i, block in enumerate(blocks)]
    return records


def finish(path, dataset, records):
    shards.finalise(path, dataset, seed=3, config_digest="c", source_digest="s", records=records)


@pytest.fixture
def store(tmp_path):
    dataset = make_dataset()
    finish(tmp_path / "a.zarr", dataset, write(tmp_path / "a.zarr", dataset))
    return tmp_path / "a.zarr"


# --- a complete store ---------------------------------------------------------------------------


def test_reader_returns_what_was_written(store):
    opened, values = open_store(store), fields(make_dataset())
    assert (opened.num_samples("train"), opened.num_samples("test")) == (12, 4)
    assert (opened.num_shards("train"), opened.num_shards("test")) == (3, 1)
    assert (opened.input_shape, opened.target_shape) == ((1, GRID), (1, GRID))
    assert opened.dtype == np.float32
    for name in layout.ARRAYS:
        np.testing.assert_array_equal(opened.read_shard("train", 2)[name], values[name][8:12])
        np.testing.assert_array_equal(opened.read_shard("test", 0)[name], values[name][12:])
    with pytest.raises(StoreError, match="train: expected a shard below 3, got 3"):
        opened.read_shard("train", 3)


def test_check_accepts_the_store_of_its_dataset_and_refuses_another(store):
    layout.check_store(store, make_dataset(), 3)
    with pytest.raises(StoreError, match="expected seed 4, got 3"):
        layout.check_store(store, make_dataset(), 4)
    with pytest.raises(StoreError, match="another num_test"):
        layout.check_store(store, make_dataset(num_test=8))


def test_plain_zarr_can_read_it(store):
    group = zarr.open_group(store, mode="r")
    np.testing.assert_array_equal(group["inputs"][:], fields(make_dataset())["inputs"])
    assert list(group.attrs)[-1] == "complete" and group.attrs["schema_version"] == 1


def test_layout_needs_only_the_standard_library():
    code = "import sys, pipeline.store.layout; print([m for m in sys.modules if m.split('.')[0] in"
    code += " ('numpy', 'zarr', 'torch', 'dask', 'scipy', 'pydantic')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- damage -------------------------------------------------------------------------------------


def test_a_store_without_the_mark_is_refused(tmp_path):
    path, dataset = tmp_path / "a.zarr", make_dataset()
    write(path, dataset)
    for check in (layout.check_store, open_store):
        with pytest.raises(StoreError, match="a.zarr: expected complete: true, got None"):
            check(path)
    with pytest.raises(StoreError, match="found no zarr.json; run generate"):
        layout.check_store(tmp_path / "b.zarr")


def set_attribute(store, **changes):
    group = json.loads((store / "zarr.json").read_text())
    group["attributes"] |= changes
    (store / "zarr.json").write_text(json.dumps(group))


def test_damaged_metadata_is_one_line(store):
    set_attribute(store, schema_version=2)
    with pytest.raises(StoreError, match="expected schema_version 1, got 2"):
        layout.check_store(store)
    set_attribute(store, schema_version=1, shards={})
    with pytest.raises(StoreError, match="expected the record of its shards"):
        layout.check_store(store)
    (store / "zarr.json").write_text("{")
    with pytest.raises(StoreError, match="expected the metadata of a store"):
        layout.check_store(store)


def test_missing_shorter_and_changed_shards_are_named(store):
    file = layout.shard_file(store, "targets", 2, 3)
    original = file.read_bytes()
    where = "a.zarr/targets: shard 2: expected"

    file.unlink()
    for check in (layout.check_store, open_store):
        with pytest.raises(StoreError, match=f"{where} a file of {len(original)} bytes"):
            check(store)

    file.write_bytes(original[:-1])
    for check in (layout.check_store, open_store):
        with pytest.raises(StoreError, match=f"{where} {len(original)} bytes, got"):
            check(store)

    file.write_bytes(bytes([original[0] ^ 1]) + original[1:])
    layout.check_store(store, full_check_bytes=0)
    with pytest.raises(StoreError, match=f"{where} CRC-32 [0-9a-f]{{8}}, got [0-9a-f]{{8}}"):
        layout.check_store(store)


def test_array_of_another_shape_is_refused(store):
    metadata = json.loads((store / "inputs" / "zarr.json").read_text())
    metadata["shape"][0] = 12
    (store / "inputs" / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(StoreError, match=r"inputs: expected shape \(16, C"):
        layout.check_store(store)


def test_reader_compares_the_block_with_the_one_in_memory(store):
    """Another valid shard in the place of this one: same size, decodes, wrong values."""
    opened = open_store(store)
    array = zarr.open_array(store / "inputs", mode="r+")
    array[4:8] = fields(make_dataset())["inputs"][4:8] + 1
    with pytest.raises(StoreError, match="inputs: shard 1: expected block CRC-32"):
        opened.read_shard("train", 1)
    opened.read_shard("train", 0)


# --- alignment: why one task must own a whole shard ---------------------------------------------


def sharded(path, dataset):
    shards.create(path, dataset)
    return zarr.open_array(path / "inputs", mode="r+")


def test_two_interleaved_writers_lose_data_silently(tmp_path, monkeypatch):
    """A write of half a shard reads the shard, changes it and writes it back: the later of two
    such writes undoes the earlier. zarr says nothing; the check does.
    """
    path, dataset = tmp_path / "a.zarr", make_dataset()
    records = write(path, dataset)
    inputs = fields(dataset)["inputs"]
    array = zarr.open_array(path / "inputs", mode="r+")
    file = layout.shard_file(path, "inputs", 0, 3)

    file.unlink()
    array[0:2] = inputs[0:2]  # the first writer, alone
    first = file.read_bytes()
    file.unlink()
    array[2:4] = inputs[2:4]  # the second one, having read the shard before the first wrote
    assert first != file.read_bytes()

    assert not np.array_equal(array[0:2], inputs[0:2])
    with pytest.raises(StoreError, match="inputs: shard 0: .* One task must own a whole shard"):
        finish(path, dataset, records)
    with pytest.raises(StoreError, match="complete: true"):
        open_store(path)


@pytest.mark.parametrize("how", ["store", "to_zarr"])
def test_dask_blocks_smaller_than_a_shard_corrupt_and_are_caught(tmp_path, how):
    """Plain Dask, with no exception. A race, so several attempts; on 2 cores the first one fails.

    `da.store` locks within one process only by default; several processes are the same as here.
    """
    dataset = make_dataset(num_samples=160, num_test=40)
    values = fields(dataset)["inputs"]
    for attempt in range(20):
        path = tmp_path / f"{attempt}.zarr"
        records = write(path, dataset)
        blocks = da.from_array(values, chunks=(1, 1, GRID))
        shutil.rmtree(path / "inputs" / "c")
        if how == "store":
            array = zarr.open_array(path / "inputs", mode="r+")
            da.store(blocks, array, lock=False, scheduler="threads")
        else:
            shutil.rmtree(path / "inputs")
            da.to_zarr(blocks, str(path / "inputs"), shards=(SIZE, 1, GRID))
        found = zarr.open_array(path / "inputs", mode="r")[:]
        if not np.array_equal(found, values):
            with pytest.raises(StoreError, match="inputs: shard"):
                finish(path, dataset, records)
            return
    pytest.skip("this Dask serialised the writes 20 times: nothing to catch")


def test_guard_refuses_part_of_a_shard(tmp_path):
    array = sharded(tmp_path / "a.zarr", make_dataset())
    block = np.zeros((SIZE, 1, GRID), "float32")
    needs = r"a.zarr/inputs: shard 1 needs \(4, 1, 16\) float32, got"
    with pytest.raises(StoreError, match=needs + r" \(2, 1, 16\) float32"):
        shards.write_shard(array, 1, block[:2])
    with pytest.raises(StoreError, match=needs + r" \(4, 1, 16\) float64"):
        shards.write_shard(array, 1, block.astype("float64"))
    for index in (-1, 4):
        with pytest.raises(StoreError, match=f"expected a shard below 4, got {index}"):
            shards.write_shard(array, index, block)
    assert not (tmp_path / "a.zarr" / "inputs" / "c").exists()


@pytest.mark.parametrize(("shape", "shard"), [((16, 1, 16), (4, 1, 8)), ((14, 1, 16), (4, 1, 16))])
def test_guard_refuses_an_array_whose_shards_are_not_whole_samples(tmp_path, shape, shard):
    array = zarr.create_array(
        tmp_path / "a", shape=shape, shards=shard, chunks=shard, dtype="float32"
    )
    with pytest.raises(StoreError, match="expected shards"):
        shards.write_shard(array, 0, np.zeros(shard, "float32"))


def test_rewriting_a_shard_gives_the_same_bytes(tmp_path):
    dataset = make_dataset()
    array = sharded(tmp_path / "a.zarr", dataset)
    block = fields(dataset)["inputs"][:SIZE]
    file = layout.shard_file(tmp_path / "a.zarr", "inputs", 0, 3)
    records = []
    for _ in range(2):
        records.append((shards.write_shard(array, 0, block), file.read_bytes()))
    assert records[0] == records[1]


def test_a_block_of_zeros_is_stored(tmp_path):
    """zarr leaves out chunks of the fill value: that must never be a value of ours."""
    array = sharded(tmp_path / "a.zarr", make_dataset())
    block = np.zeros((SIZE, 1, GRID), "float32")
    assert shards.write_shard(array, 0, block)["size"] > 0
    np.testing.assert_array_equal(array[:SIZE], block)


# --- the loader ---------------------------------------------------------------------------------


def test_loader_yields_matching_pairs(store):
    values = fields(make_dataset())
    loader = ShardLoader(store, "train", 5, seed=0)
    row_of = {row[0, 0]: index for index, row in enumerate(values["inputs"])}
    assert loader.batches_per_epoch == 2
    for inputs, targets in loader.epoch(0):
        rows = [row_of[float(row[0, 0])] for row in inputs]
        np.testing.assert_array_equal(inputs.numpy(), values["inputs"][rows])
        np.testing.assert_array_equal(targets.numpy(), values["targets"][rows])


def test_loader_subsamples_the_grid(store):
    full = next(ShardLoader(store, "test", 4, seed=1).epoch(0))
    coarse = next(ShardLoader(store, "test", 4, seed=1, grid_stride=3).epoch(0))
    for fine, field in zip(full, coarse, strict=True):
        np.testing.assert_array_equal(field.numpy(), fine.numpy()[..., ::3])


def test_loader_repeats_an_epoch_and_changes_between_epochs(store):
    def epoch(number, seed=0):
        loader = ShardLoader(store, "train", 4, seed=seed)
        return np.concatenate([inputs.numpy() for inputs, _ in loader.epoch(number)])

    np.testing.assert_array_equal(epoch(1), epoch(1))
    assert not np.array_equal(epoch(1), epoch(2))
    assert not np.array_equal(epoch(1), epoch(1, seed=1))


def test_loader_starts_anywhere_in_an_epoch(store):
    loader = ShardLoader(store, "train", 2, seed=0)
    for ours, whole in zip(loader.epoch(3, 4), [*loader.epoch(3)][4:], strict=True):
        for a, b in zip(ours, whole, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_parts_of_a_batch_make_the_whole(store, world):
    def loader(*edges):
        return ShardLoader(store, "train", 5, seed=0, positions=slice(*edges))

    edges = [rank * 5 // world for rank in range(world + 1)]
    parts = [loader(*pair).epoch(1) for pair in pairwise(edges)]
    for whole, *shares in zip(loader(None).epoch(1), *parts, strict=True):
        for a, b in zip(whole, zip(*shares, strict=True), strict=True):
            np.testing.assert_array_equal(a, np.concatenate(b))


@pytest.mark.parametrize("budget", [0, 600, 2**28])
def test_cache_holds_what_its_budget_allows(store, monkeypatch, budget):
    """A shard is 512 bytes of inputs and targets: nothing, one, or all three are kept."""
    opened, reads = open_store(store), []
    original = type(opened).read_shard
    monkeypatch.setattr(
        type(opened),
        "read_shard",
        lambda self, split, index: reads.append(index) or original(self, split, index),
    )
    loader = ShardLoader(opened, "train", 2, seed=0, cache_bytes=budget)
    for epoch in range(4):
        assert len(list(loader.epoch(epoch))) == 6
    if budget == 2**28:
        assert sorted(reads) == [0, 1, 2]
    else:
        # A stream: the samples of one shard at a time, so each is read once an epoch or less.
        assert 9 <= len(reads) <= 12
    assert loader._cached_bytes <= max(budget, 512)


def test_loader_refuses_a_batch_larger_than_the_split(store):
    with pytest.raises(StoreError, match="test: expected at least 6 samples .* got 4"):
        ShardLoader(Path(store), "test", 6, seed=0)
