"""Reading what finished stages left: every complaint names file, place, expected and got."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from pipeline.errors import ResultError

_METRICS = {
    "step": "int64",
    "epoch": "float64",
    "split": "str",
    "metric": "str",
    "value": "float64",
    "elapsed_s": "float64",
}
_RECORD: dict[str, type | tuple[type, ...]] = {
    "stage": str,
    "name": str,
    "seed": int,
    "config": dict,
    "config_digest": str,
    "source_digest": str,
    "versions": dict,
    "hardware": dict,
    "started": str,
    "wall_time_s": (int, float),
    "peak_memory_mb": (int, float),
    "summary": dict,
}


def read_json(path: Path, stage: str) -> dict[str, Any]:
    """Return the JSON object in `path`, refusing NaN and infinities.

    Raises:
        ResultError: the file is missing or damaged; the remedy is to rerun `stage`.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number")

    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except (OSError, ValueError) as error:
        raise _unreadable(path, stage, error) from None
    if not isinstance(content, dict):
        raise ResultError(
            f"{path}: expected a JSON object, got {type(content).__name__}; rerun {stage}"
        )
    if content.get("schema_version") != 1:
        got = content.get("schema_version")
        raise ResultError(f"{path}: schema_version: expected 1, got {got!r}; rerun {stage}")
    return content


def require(path: Path, content: Any, fields: Mapping[str, Any], stage: str) -> None:
    """Raise `ResultError` unless `content` of `path` holds `fields` (key: type or types)."""
    if not isinstance(content, Mapping):
        keys = ", ".join(fields)
        raise ResultError(f"{path}: expected an object with {keys}, got {content!r}; rerun {stage}")
    for key, kind in fields.items():
        value = content.get(key)
        # bool is an int to Python, never to us.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            names = " or ".join(x.__name__ for x in (kind if isinstance(kind, tuple) else (kind,)))
            got = "nothing" if key not in content else repr(value)[:60]
            raise ResultError(f"{path}: {key}: expected {names}, got {got}; rerun {stage}")


def read_record(path: Path, *, stage: str, name: str) -> dict[str, Any]:
    """Return the `run.json` of stage `stage` for `name`; raises `ResultError`."""
    content = read_json(path, stage)
    require(path, content, _RECORD, stage)
    for key, expected in (("stage", stage), ("name", name)):
        if content[key] != expected:
            raise ResultError(
                f"{path}: {key}: expected {expected!r}, got {content[key]!r}; rerun {stage}"
            )
    return content


def read_metrics(path: Path) -> pd.DataFrame:
    """Return the metric history (step, epoch, split, metric, value, elapsed_s), ordered by step.

    Raises:
        ResultError: the file is missing, damaged, empty, or lacks a column.
    """
    try:
        table = pd.read_parquet(path)
        missing = [column for column in _METRICS if column not in table]
        if missing:
            raise ValueError(f"expected the columns {', '.join(_METRICS)}, without {missing}")
        if table.empty:
            raise ValueError("expected at least one row, got none")
        table = table[list(_METRICS)].astype(_METRICS)
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(path, "train", error) from None
    return table.sort_values("step", kind="stable", ignore_index=True)


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the arrays `names` of a .npz file; raises `ResultError`."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if missing := [name for name in names if name not in archive.files]:
                raise ResultError(
                    f"{path}: expected the arrays {', '.join(names)}, got none named"
                    f" {', '.join(missing)}; rerun train"
                )
            return {name: archive[name] for name in names}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(path, "train", error) from None


def read_bytes(path: Path, stage: str) -> bytes:
    """Return the content of a file; raises `ResultError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, stage, error) from None


def _unreadable(path: Path, stage: str, error: Exception) -> ResultError:
    if isinstance(error, FileNotFoundError):
        return ResultError(f"{path}: expected the output of {stage}, got no file; rerun {stage}")
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return ResultError(f"{path}: damaged: {reason}; rerun {stage}")
