"""Whether what an experiment makes can be written where it belongs: asked before any job.

Snakemake removes the files that a job makes before it starts the job, so what is not ours has to be
found now.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline import disk
from pipeline.config import Experiment
from pipeline.errors import PlaceError
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
_REPORT = ("summary.parquet", "summary.txt", "report.html", "run.json", "experiment.json")


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
    for name in experiment.datasets:
        place.check_place(data / f"{name}.zarr")
        _check_record(data / f"{name}.run.json")
        disk.check_file(data / f"{name}.failed.json")
    names: dict[str, Iterable[str]] = {
        "train": experiment.runs,
        "search": experiment.bounds,
        "certify": experiment.bounds,
    }
    _check_results(results, names)
    _check_logs(logs.parent, {"generate": experiment.datasets})
    _check_logs(logs, names)


def _check_results(results: Path, names: dict[str, Iterable[str]]) -> None:
    """Raise unless what lies at the places of results is ours, or nothing.

    Files are known as ours by a record beside them or in the experiment's folder.
    """
    for child in (*names, "state", "failed"):
        if os.path.lexists(results / child):
            disk.check_folder(results / child)
    is_ours = any((results / record).exists() for record in ("experiment.json", "run.json"))
    folders = [(results / stage / name, _FILES[stage]) for stage in names for name in names[stage]]
    for folder, files in [(results, _REPORT), *folders]:
        if not os.path.lexists(folder):
            continue
        disk.check_folder(folder)
        if os.path.lexists(folder / "checkpoint"):
            disk.check_folder(folder / "checkpoint")
        for file in files:
            disk.check_file(folder / file)
        present = next((file for file in files if (folder / file).exists()), None)
        if present and not is_ours and not (folder / "run.json").exists():
            raise PlaceError(
                f"{folder / present}: expected nothing or a result of this pipeline, got a file"
                f" without a record of it; move {results} away or give the experiment another name"
            )


def _check_logs(logs: Path, names: dict[str, Iterable[str]]) -> None:
    for stage, parts in names.items():
        if os.path.lexists(logs / stage):
            disk.check_folder(logs / stage)
            for name in parts:
                disk.check_file(logs / stage / f"{name}.log")


def _check_record(path: Path) -> None:
    """Raise `PlaceError` unless `path` is free or holds a record of ours, damaged or not."""
    disk.check_file(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not isinstance(content, dict) or "stage" not in content:
        raise PlaceError(
            f"{path}: expected nothing or the record of a data set, got another file; move it away"
        )
