"""Reading what finished stages left: every complaint names file, place, expected and got."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from pipeline.errors import ResultError
from pipeline.runtime.failure import one_line

# More bytes than any record, trace or certificate of ours has.
_LARGEST_JSON = 64 << 20
# An integer with more digits has no double.
_MOST_DIGITS = 300
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
    "peak_memory_mb": (int, float, type(None)),
    "summary": dict,
}
# Numbers of a summary that the report formats, where they are there.
_NUMBERS = (
    "relative_l2",
    "skill",
    "trivial_relative_l2",
    "error_bound",
    "relative_error_bound",
    "reference_error",
    "samples_per_second",
    "seconds_per_sample",
    "num_parameters",
    "bytes",
    "max_error",
)


class AbsentError(ResultError):
    """A result file is not there."""


class OutdatedError(ResultError):
    """A result file is of another configuration, seed or certificate."""


class UnsoundError(ResultError):
    """A verdict claims what cannot be true."""


def read_json(path: Path, stage: str, version: int = 1) -> dict[str, Any]:
    """Return the JSON object in `path`, refusing NaN and infinities.

    Raises:
        ResultError: the file is missing or damaged; the remedy is to rerun `stage`.
    """
    text = read_bytes(path, stage)
    try:
        content = json.loads(
            text.decode("utf-8"), parse_constant=_refuse, parse_float=_double, parse_int=_integer
        )
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, stage, error) from None
    if not isinstance(content, dict):
        raise ResultError(
            f"{path}: expected a JSON object, got {type(content).__name__}; rerun {stage}"
        )
    if (got := content.get("schema_version")) != version:
        raise ResultError(f"{path}: schema_version: expected {version}, got {got!r}; rerun {stage}")
    return content


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def _double(text: str) -> float:
    if math.isinf(value := float(text)):
        _refuse(text[:40])
    return value


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        _refuse(f"{text[:20]}…")
    return int(text)


def require(path: Path, content: Any, fields: Mapping[str, Any], stage: str) -> None:
    """Raise `ResultError` unless `content` of `path` holds `fields` (key: type or types)."""
    if not isinstance(content, Mapping):
        keys = ", ".join(fields)
        got = repr(content)[:60]
        raise ResultError(f"{path}: expected an object with {keys}, got {got}; rerun {stage}")
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
                f"{path}: {key}: expected {expected!r}, got {content[key][:60]!r}; rerun {stage}"
            )
    _require_numbers(path, content["summary"], _NUMBERS, stage)
    _require_numbers(path, content["hardware"], ("memory_mb",), stage)
    if not isinstance(content.get("commit"), str | None):
        raise ResultError(f"{path}: commit: expected a text or null; rerun {stage}")
    return content


def _require_numbers(
    path: Path, content: Mapping[str, Any], keys: Sequence[str], stage: str
) -> None:
    """Raise unless each of `keys`, or `key@...` (a number on another grid), is a number or null."""
    for key, value in content.items():
        if key.split("@")[0] in keys and value is not None:
            require(path, content, {key: (int, float)}, stage)


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
        if not np.isfinite(table["elapsed_s"]).all():
            raise ValueError("elapsed_s: expected finite times")
        # Stable: rows of one step keep the order in which they were written.
        return table.sort_values("step", kind="stable", ignore_index=True)
    except Exception as error:
        # Of a damaged file the library raises whatever its decoder meets, by no contract.
        raise _unreadable(path, "train", error) from None


def read_arrays(
    path: Path, names: Sequence[str], unknown: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Return the arrays `names` of a .npz file, all finite numbers; those in `unknown` also NaN.

    Raises:
        ResultError: the file is missing or damaged, or an array holds anything else.
    """
    try:
        # A pickle in a file of results could run code.
        with np.load(path, allow_pickle=False) as archive:
            if missing := [name for name in names if name not in archive.files]:
                raise ValueError(
                    f"expected the arrays {', '.join(names)}, got none named {', '.join(missing)}"
                )
            arrays = {name: archive[name] for name in names}
        for name, array in arrays.items():
            numbers = array.dtype.kind in "fiu" and array.size > 0
            bad = np.isinf if name in unknown else lambda values: ~np.isfinite(values)
            if not numbers or bad(array).any():
                raise ValueError(f"{name}: expected finite numbers")
        return arrays
    except Exception as error:
        # As above: a flipped bit may surface in zip, zlib, the header's parser or numpy.
        raise _unreadable(path, "train", error) from None


def read_bytes(path: Path, stage: str) -> bytes:
    """Return the content of a file; raises `ResultError`."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_JSON + 1)
    except OSError as error:
        raise _unreadable(path, stage, error) from None
    if len(content) > _LARGEST_JSON:
        raise ResultError(f"{path}: expected at most {_LARGEST_JSON >> 20} MiB; rerun {stage}")
    return content


def _unreadable(path: Path, stage: str, error: Exception) -> ResultError:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return AbsentError(f"{path}: expected the output of {stage}, got no file; rerun {stage}")
    reason = one_line(str(error) or type(error).__name__)[:160]
    return ResultError(f"{path}: damaged: {reason}; rerun {stage}")
