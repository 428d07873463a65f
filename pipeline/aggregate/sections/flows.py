"""Flows: when and how strongly each dissipates, and how well it is resolved."""

from pipeline.aggregate.describe import dataset_title
from pipeline.aggregate.read.quantities import short
from pipeline.aggregate.read.results import DatasetResult, Results
from pipeline.aggregate.sections.base import Row
from pipeline.store.config import Trajectory

NAME, LINK = "flows", None


def build(results: Results) -> Row | None:
    """Return a row for each data set that is the trajectory of a flow."""
    rows = [_row(result) for result in results.datasets if isinstance(result.config, Trajectory)]
    return {"rows": rows} if rows else None


def _row(result: DatasetResult) -> Row:
    summary = result.record["summary"]
    return {
        "name": result.name,
        "title": dataset_title(result.config),
        "dissipation": short(summary["peak_dissipation"], 4),
        "time": short(summary["peak_dissipation_time"]),
        "resolution": short(summary["resolution"], 2),
        "imbalance": short(summary.get("energy_imbalance"), 2),
    }
