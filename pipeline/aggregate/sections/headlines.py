"""Results at a glance: one answer to each question that the experiment asks."""

from pipeline.aggregate.read.results import Results
from pipeline.aggregate.sections import bounds, runs
from pipeline.aggregate.sections.base import Link, Row

NAME, LINK = "headlines", Link("headlines", "Results")


def build(results: Results) -> Row | None:
    """Return the answers of bounds and runs, and which labels need an explanation."""
    rows = [*bounds.headlines(results.bounds), *runs.headlines(results)]
    if not rows:
        return None
    return {
        "rows": rows,
        "has_bounds": bool(results.bounds),
        "has_rejected": any(result.proved_bound is None for result in results.bounds),
    }
