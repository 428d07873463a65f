"""Data sets: what is in them, what they cost, and how accurate their solver was."""

from pipeline.aggregate.describe import dataset_count, dataset_title, solver_check
from pipeline.aggregate.read.quantities import duration, short, size
from pipeline.aggregate.read.results import DatasetResult, Results
from pipeline.aggregate.sections.base import Link, Row

NAME, LINK = "datasets", Link("datasets", "Data")


def build(results: Results) -> Row | None:
    """Return a row for each data set."""
    rows = [_row(result) for result in results.datasets]
    return {"rows": rows} if rows else None


def _row(result: DatasetResult) -> Row:
    summary, part = result.record["summary"], result.config
    return {
        "name": result.name,
        "title": dataset_title(part),
        "samples": dataset_count(part),
        "dtype": part.dtype,
        "size": size(summary.get("bytes")),
        "wall_time": duration(result.record["wall_time_s"]),
        "error": short(summary.get("max_error"), 2),
        "check": solver_check(part),
        "per_sample": duration(summary.get("seconds_per_sample")),
    }
