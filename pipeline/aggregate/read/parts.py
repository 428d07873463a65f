"""Reading the parts of an experiment: each function returns one whole part, or says what is wrong.

All of them raise `files.AbsentError` (a file is not there), `files.OutdatedError` (it is of another
configuration, seed or certificate), `files.UnsoundError`, or `ResultError` (damaged, inconsistent):
one line naming the file, what was expected and what was found.
"""

import math
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from pipeline.aggregate.read import files
from pipeline.aggregate.read.quantities import exact_decimal
from pipeline.aggregate.read.results import DatasetResult, Record, RunResult, Search
from pipeline.errors import ResultError, StoreError
from pipeline.packing.base import TRACE_VERSION
from pipeline.packing.config import Bound
from pipeline.runtime.digest import config_digest, is_result_of
from pipeline.store import layout, trajectory
from pipeline.store.config import Dataset, Trajectory
from pipeline.training.operator.config import OperatorRun
from pipeline.training.pinn.config import PinnRun

_FLOW = ("peak_dissipation", "peak_dissipation_time", "max_error", "resolution")
_RAY = ("ray_distance", "ray_exact", "ray_prediction")
_PINN_ARRAYS = ("exact", "prediction", "ray_time", *_RAY)
# NaN where the exact solution is not known, or where there is no time.
_UNKNOWN = ("exact", "ray_exact", "ray_time")
_OPERATOR_ARRAYS = ("input", "truth", "prediction", "coordinates", "relative_l2")


def dataset(name: str, part: Dataset | Trajectory, data: Path) -> DatasetResult:
    """Return the data set: its store is complete, its record of this definition."""
    path = data / f"{name}.run.json"
    record = checked_record(path, "generate", name, part, part.seed)
    if isinstance(part, Trajectory):
        files.require(path, record["summary"], dict.fromkeys(_FLOW, (int, float)), "generate")
    _check_store(data / f"{name}.zarr")
    return DatasetResult(name, part, record)


def run(name: str, part: PinnRun | OperatorRun, seed: int, results: Path) -> RunResult:
    """Return the finished training run."""
    folder = results / "train" / name
    # The record first: it is written last, so without it nothing else is whole.
    record = checked_record(folder / "run.json", "train", name, part, seed)
    files.require(folder / "run.json", record["summary"], {"relative_l2": (int, float)}, "train")
    metrics = files.read_metrics(folder / "metrics.parquet")
    file = folder / "prediction.npz"
    if isinstance(part, PinnRun):
        prediction = files.read_arrays(file, _PINN_ARRAYS, unknown=_UNKNOWN)
        fits = (
            _same_shape(prediction, 1, "exact", "prediction")
            and _same_shape(prediction, 1, *_RAY)
            and _same_shape(prediction, 0, "ray_time")
        )
    else:
        prediction = files.read_arrays(file, _OPERATOR_ARRAYS)
        fits = _is_sample(prediction)
    # Here, where the file is known: a figure of such arrays would fail without naming it.
    if not fits:
        shapes = ", ".join(f"{key} {array.shape}" for key, array in prediction.items())
        raise ResultError(f"{file}: expected arrays that fit together, got {shapes}; rerun train")
    return RunResult(name, part, record, metrics, prediction)


def search(name: str, part: Bound, seed: int, results: Path) -> Search:
    """Return what the finished search left."""
    folder = results / "search" / name
    path = folder / "run.json"
    record = checked_record(path, "search", name, part, seed)
    files.require(path, record["summary"], {"degree": int, "bound": str}, "search")
    check_decimal(path, "summary: bound", record["summary"]["bound"], "search")
    path = folder / "trace.json"
    trace = files.read_json(path, "search", TRACE_VERSION)
    files.require(path, trace, {"evaluations": list}, "search")
    for evaluation in trace["evaluations"]:
        files.require(path, evaluation, {"parameters": dict, "bound": str}, "search")
        check_decimal(path, "evaluations: bound", evaluation["bound"], "search")
    # As bytes: the verdict names their digest, and not what a parser makes of them.
    return Search(record, trace, files.read_bytes(folder / "candidate.json", "search"))


def checked_record(path: Path, stage: str, name: str, part: BaseModel, seed: int) -> Record:
    """Return the record in `path` if it is of this configuration and seed."""
    record = files.read_record(path, stage=stage, name=name)
    checks = (
        ("seed", str(seed), record["seed"] == seed),
        ("config_digest", config_digest(part), is_result_of(part, record)),
    )
    for key, expected, agrees in checks:
        if not agrees:
            raise files.OutdatedError(
                f"{path}: {key}: expected {expected[:12]} as in the experiment,"
                f" got {str(record[key])[:12]}; rerun {stage}"
            )
    return record


def check_decimal(path: Path, key: str, text: str, stage: str) -> None:
    """Raise `ResultError` unless `text` is a positive decimal within the range of a double."""
    try:
        exact_decimal(text)
        if float(text) in (0.0, math.inf):
            raise ValueError(f"expected a number within 1e-308 and 1e308, got {text[:40]!r}")
    except ValueError as error:
        raise ResultError(f"{path}: {key}: {error}; rerun {stage}") from None


def _check_store(store: Path) -> None:
    """Return if `store` is complete and every file in it has its recorded size.

    Checksums are compared when a run starts and when blocks are read.
    """
    if not (store / "zarr.json").exists():
        raise files.AbsentError(f"{store}: expected the store of generate, got none; run generate")
    try:
        if layout.read_attributes(store).get("layout") == trajectory.LAYOUT:
            trajectory.check_trajectory(store, full_check_bytes=0)
        else:
            layout.check_store(store, full_check_bytes=0)
    except (StoreError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        told = str(error) if isinstance(error, StoreError) else f"{store}: damaged: {error!r}"
        raise ResultError(told) from None


def _same_shape(arrays: dict[str, np.ndarray], ndim: int, *names: str) -> bool:
    shapes = {arrays[name].shape for name in names}
    return len(shapes) == 1 and arrays[names[0]].ndim == ndim


def _is_sample(arrays: dict[str, np.ndarray]) -> bool:
    """Return whether arrays are (samples, channels, *grid), with the points of that grid."""
    truth, given = arrays["truth"], arrays["input"]
    num_axes = truth.ndim - 2
    return (
        _same_shape(arrays, 2 + num_axes, "truth", "prediction")
        and (given.ndim, given.shape[0], given.shape[2:])
        == (truth.ndim, truth.shape[0], truth.shape[2:])
        and arrays["coordinates"].shape == (num_axes, *truth.shape[2:])
        and arrays["relative_l2"].shape == truth.shape[:1]
    )
