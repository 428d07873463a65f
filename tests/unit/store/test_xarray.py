"""Stores of both layouts carry what xarray needs: dimension names, coordinates, units."""

import json

import numpy as np
import pytest
import zarr

from pipeline.datagen import shard
from pipeline.errors import StoreError
from pipeline.store import layout, slabs, trajectory
from pipeline.store.check import check_any_store
from pipeline.store.config import Dataset, Trajectory

FLOW = {
    "problem": {
        "kind": "navier_stokes",
        "viscosity": 0.1,
        "initial": {"kind": "taylor_green"},
        "final_time": 0.5,
    },
    "grid": [8, 8, 8],
    "num_snapshots": 2,
    "ranks": 2,
}


@pytest.fixture(params=["burgers", "darcy"])
def samples(request, tmp_path):
    problem = {"kind": "burgers", "viscosity": 0.1} if request.param == "burgers" else {}
    dataset = Dataset.model_validate(
        {
            "problem": problem or {"kind": "darcy"},
            "grid": [64] if problem else [24, 20],
            "num_samples": 4,
            "num_test": 2,
            "samples_per_shard": 2,
        }
    )
    plan = shard.Plan(dataset, 0, "s", tmp_path / "d.zarr")
    shard.resume(plan)
    shard.publish(plan, {index: shard.make_shard(index, plan) for index in range(2)})
    return tmp_path / "d.zarr"


@pytest.fixture
def flow(tmp_path):
    dataset = Trajectory.model_validate(FLOW)
    slabs.create(tmp_path / "f.zarr", dataset)
    block = np.ones((3, 4, 8, 8), "float32")
    records = [
        slabs.write_slab(tmp_path / "f.zarr", t, rank, block) for t in range(3) for rank in range(2)
    ]
    digests = {"seed": 1, "config_digest": "c", "source_digest": "s"}
    tables = {"diagnostics": np.ones((26, 5)), "spectrum": np.ones((3, 4))}
    slabs.finalise(tmp_path / "f.zarr", dataset, **digests, velocity=records, tables=tables)
    return tmp_path / "f.zarr"


def names(store, array):
    return tuple(json.loads((store / array / "zarr.json").read_text())["dimension_names"])


def test_samples_have_named_axes_and_their_nodes(samples):
    check_any_store(samples)
    axes = ("x",) if len(names(samples, "inputs")) == 3 else ("x", "y")
    assert names(samples, "inputs") == ("sample", "input_channel", *axes)
    assert names(samples, "targets") == ("sample", "target_channel", *axes)
    x = zarr.open_array(samples / "x", mode="r")[:]
    expected = np.arange(64) / 64 if axes == ("x",) else np.linspace(0, 1, 24)
    np.testing.assert_array_equal(x, expected)
    attributes = layout.read_attributes(samples)
    assert 0 < attributes["max_error"] <= attributes["tolerance"]
    assert attributes["max_error_is"].startswith("empirical estimate")
    assert attributes["worst_sample"] in range(4)


def test_a_damaged_coordinate_is_found(samples):
    file = layout.block_file(samples, "x", (0,))
    damaged = bytearray(file.read_bytes())
    damaged[-2] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(StoreError, match="d.zarr/x: shard 0: expected CRC-32"):
        check_any_store(samples)


def test_flows_have_named_axes_and_the_times_of_their_snapshots(flow):
    check_any_store(flow)
    for array, expected in trajectory.DIMENSIONS.items():
        assert names(flow, array) == expected
    times = zarr.open_array(flow / "time", mode="r")[:]
    np.testing.assert_allclose(times, [0, 0.25, 0.5])


def test_a_store_of_an_earlier_version_is_still_read(samples):
    group = samples / "zarr.json"
    content = json.loads(group.read_text())
    for key in ("coordinate_files", "max_error", "max_error_is", "tolerance", "worst_sample"):
        del content["attributes"][key]
    group.write_text(json.dumps(content))
    for array in ("inputs", "targets"):
        metadata = json.loads((samples / array / "zarr.json").read_text())
        del metadata["dimension_names"]
        (samples / array / "zarr.json").write_text(json.dumps(metadata))
    check_any_store(samples)
    dataset = Dataset.model_validate(content["attributes"]["dataset"])
    layout.check_store(samples, dataset, 0)
    layout.check_tolerance(samples, dataset)


def test_a_store_that_misses_the_tolerance_at_hand_is_refused(samples):
    content = layout.read_attributes(samples)["dataset"]
    layout.check_tolerance(samples, Dataset.model_validate(content))
    strict = Dataset.model_validate(content | {"tolerance": 1e-12})
    layout.check_store(samples, strict, 0)
    with pytest.raises(StoreError, match=r"max_error of at most 1e-12 \(tolerance\), got"):
        layout.check_tolerance(samples, strict)


def test_xarray_opens_samples(samples):
    xarray = pytest.importorskip("xarray")
    opened = xarray.open_zarr(samples, consolidated=False)
    assert set(opened.coords) == set(names(samples, "inputs")[2:])
    assert opened["targets"].attrs["long_name"] and opened["x"].attrs["units"] == "1"
    assert opened["inputs"].isel(sample=0).sel(x=0.0).shape[0] == 1
    assert np.isfinite(opened["targets"].values).all()


def test_xarray_opens_flows(flow):
    xarray = pytest.importorskip("xarray")
    opened = xarray.open_zarr(flow, consolidated=False)
    assert set(opened.coords) == {"time", "x", "y", "z"}
    assert opened["velocity"].sel(time=0.25, component=0).shape == (8, 8, 8)
    assert opened["spectrum"].dims == ("time", "shell")
