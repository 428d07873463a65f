"""Whether what an experiment makes can be written where it belongs: asked before any job.

Snakemake removes the files that a job makes before it starts the job, so what is not ours has to be
found now.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from pipeline.checks import workspace
from pipeline.config import Experiment
from pipeline.errors import PlaceError
from pipeline.runtime import disk, failure, ours
from pipeline.runtime.digest import is_result_of
from pipeline.store import place

_FILES: dict[str, Sequence[str]] = {
    "train": (
        "metrics.parquet",
        "prediction.npz",
        "checkpoint/model.json",
        "checkpoint/model.pt",
        "run.json",
    ),
    "search": ("candidate.json", "trace.json", "run.json"),
    "certify": ("verdict.json", "run.json"),
}
_REPORT = ("summary.parquet", "summary.txt", "report.html", "run.json", "incomplete.json")
_Parts = Mapping[str, Mapping[str, BaseModel]]


def check_places(experiment: Experiment, data: Path, results: Path, logs: Path) -> None:
    """Return if all results can be written, and nothing of others is in their places.

    Folders may be links: they are followed and kept. Links in the place of files are refused.

    Args:
        experiment: what is to be made.
        data: the folder of data sets.
        results: the folder of this experiment.
        logs: that of its logs.

    Raises:
        PlaceError: something the pipeline did not make is in the way, or nothing can be written.
    """
    for folder in (data, results, logs):
        disk.check_folder(folder)
    known = set()
    for name in experiment.datasets:
        store = data / f"{name}.zarr"
        place.check_place(store)
        records = data / f"{name}.run.json", failure.path(data, "generate", name)
        for record in records:
            _check_content(record, ours.is_record, "the record of a data set")
        _check_content(_lock(place.unfinished(store)), ours.is_lock, "a lock")
        if any(map(os.path.exists, (*records, store / "zarr.json", place.unfinished(store)))):
            known.add(name)
    # Where a data set of ours is, the logs of its name are ours; elsewhere they must say so.
    unknown = [name for name in experiment.datasets if name not in known]
    _check_logs(logs.parent, {"generate": known}, is_ours=True)
    _check_logs(logs.parent, {"generate": unknown}, is_ours=False)
    parts: _Parts = {
        "train": experiment.runs,
        "search": experiment.bounds,
        "certify": experiment.bounds,
    }
    is_ours = workspace.read(results) is not None
    _check_results(results, experiment, parts, is_ours)
    _check_logs(logs, {**parts, "": ["aggregate"]}, is_ours)


def _check_results(results: Path, experiment: Experiment, parts: _Parts, is_ours: bool) -> None:
    """Raise unless what lies at the places of results is ours, or nothing.

    In a folder whose experiment.json says that it is this experiment's (`is_ours`), it is. Without
    it, as in results of versions that wrote none, only what a record beside it says is a result of
    this very experiment: another's would be replaced as well.
    """
    states = [f"state/{stage}" for stage in parts]
    for child in (*parts, "failed", "state", *states):
        if os.path.lexists(results / child):
            disk.check_folder(results / child)
    is_known = _check_files(results, _REPORT, "aggregate", experiment, experiment.seed, is_ours)
    # A report of this very experiment vouches for the rest of the folder.
    is_ours = is_ours or is_known
    for stage in parts:
        for name, part in parts[stage].items():
            folder = results / stage / name
            _check_files(folder, _FILES[stage], stage, part, experiment.seed, is_ours)
            record = failure.path(results, stage, name)
            _check_content(record, None if is_ours else ours.is_record, "the record of a failure")
            lock = _lock(results / "state" / stage / name)
            _check_content(lock, None if is_ours else ours.is_lock, "a lock")


def _lock(folder: Path) -> Path:
    """Return the lock of `folder`: see `ownership.alone`."""
    return folder.with_name(f"{folder.name}.lock")


def _check_files(
    folder: Path, files: Sequence[str], stage: str, part: BaseModel, seed: int, is_ours: bool
) -> bool:
    """Return whether a record in `folder` shows its `files` to be results of `part`.

    Raises:
        PlaceError: there are files, and they are not; or one of them is no file.
    """
    if not os.path.lexists(folder):
        return False
    for child in (folder, folder / "checkpoint"):
        if os.path.lexists(child):
            disk.check_folder(child)
    for file in files:
        disk.check_file(folder / file)
    present = next((file for file in files if (folder / file).exists()), None)
    if is_ours or present is None:
        return False
    remedy = f"move {folder} away or give the experiment another name"
    names = ("run.json", "incomplete.json") if stage == "aggregate" else ("run.json",)
    records = (ours.read_record(folder / name, stage) for name in names)
    record = next((record for record in records if record), None)
    if record is None:
        raise PlaceError(
            f"{folder / present}: expected nothing or a result of this pipeline, got a file without"
            f" a record of it; {remedy}"
        )
    if record["seed"] != seed or not is_result_of(part, record):
        raise PlaceError(
            f"{folder}: expected results of this very experiment, because {workspace.RECORD}, which"
            " says whose they are, is missing; got those of another configuration or seed;"
            f" {remedy}"
        )
    return True


def _check_logs(logs: Path, names: Mapping[str, Iterable[str]], is_ours: bool) -> None:
    """Raise unless the logs and benchmarks of each stage are ours, or not there."""
    for stage in names:
        for folder, ending, recognise, what in (
            (logs / stage, ".log", ours.is_log, "the log of a stage"),
            (logs / "benchmark" / stage, ".tsv", ours.is_benchmark, "a table of Snakemake's"),
        ):
            if not os.path.lexists(folder):
                continue
            disk.check_folder(folder)
            for name in names[stage]:
                _check_content(folder / f"{name}{ending}", None if is_ours else recognise, what)


def _check_content(path: Path, recognise: Callable[[Path], bool] | None, what: str) -> None:
    """Raise `PlaceError` unless `path` is free, or a file that is ours; without a test it is."""
    disk.check_file(path)
    if recognise and not recognise(path):
        raise PlaceError(f"{path}: expected nothing or {what}, got another file; move it away")
