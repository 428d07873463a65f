"""The numbers of run records as figures: each with its unit, its standard error and its kind."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.aggregate.read.quantities import Figure, Kind
from pipeline.aggregate.read.results import Record, RunResult

# Confidence limits whose level is reached as the number of points grows (docs/a_posteriori.md).
_ASYMPTOTIC = ("error_bound", "relative_error_bound")
_COSTS = ("wall_time_s", "peak_memory_mb")
_ERROR = "_standard_error"


def of_record(record: Record) -> Iterator[Figure]:
    """Yield every number of a record's summary, and what its stage cost."""
    costs = {key: record[key] for key in _COSTS if key in record}
    yield from _figures(record["summary"] | costs)


def of_run(run: RunResult) -> Iterator[Figure]:
    """Yield every number of a training run's record, and how many steps it made."""
    yield from of_record(run.record)
    yield Figure("num_steps", float(run.num_steps))


def unit(name: str) -> str:
    """Return the unit of a number of a run record, which the end of its name tells: 1 if none.

    `name@...` is the same on another grid.
    """
    name = name.split("@")[0]
    if name.endswith("_per_second"):
        return "1/s"
    if name.startswith("seconds_") or name.endswith("_s"):
        return "s"
    if name.endswith("_mb"):
        return "MB"
    # A word of the name and not a part of one.
    return "B" if "bytes" in name.split("_") else "1"


def _figures(summary: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield the numbers of a summary; a standard error is a number of its own as well."""
    numbers = {key: float(value) for key, value in summary.items() if _is_number(value)}
    for name, value in numbers.items():
        kind: Kind = "asymptotic" if name in _ASYMPTOTIC else "empirical"
        yield Figure(name, value, unit(name), numbers.get(f"{name}{_ERROR}"), kind)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
