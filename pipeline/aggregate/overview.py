"""What was asked for, and how much of it is there, as reports tell it first."""

from typing import Any

from pipeline.aggregate.read.origin import computed, minute
from pipeline.aggregate.read.results import Results

Row = dict[str, Any]


def counts(results: Results) -> Row:
    """Return how many parts were asked for and are there, as texts: "3", or "2 of 3"."""
    asked = results.experiment
    return {
        "datasets": len(asked.datasets),
        "runs": len(asked.runs),
        "bounds": len(asked.bounds),
        "there": {
            "datasets": of(len(results.datasets), len(asked.datasets)),
            "runs": of(len(results.runs), len(asked.runs)),
            "bounds": of(len(results.bounds), len(asked.bounds)),
        },
        "proved": sum(result.proved_bound is not None for result in results.bounds),
        "seed": asked.seed,
    }


def of(there: int, asked: int) -> str:
    """Return "3" if all are there, else "2 of 3"."""
    return f"{asked:,}" if there == asked else f"{there:,} of {asked:,}"


def asked(results: Results) -> Row:
    """Return by which command, from which files and when the experiment was asked for."""
    found = results.asked
    return {
        "name": found.name,
        "files": ", ".join(found.files) or "unknown",
        "overrides": found.overrides,
        "command": found.command,
        "started": "unknown" if found.started == "unknown" else f"{minute(found.started)} UTC",
        "computed": computed(results),
    }
