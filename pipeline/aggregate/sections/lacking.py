"""What was asked for, what of it is there, and why the rest is not, as the report tells it."""

from typing import Any

from pipeline.aggregate.describe import dataset_title, formulation_title, problem_title
from pipeline.aggregate.read.origin import computed, minute
from pipeline.aggregate.read.results import Missing, Results
from pipeline.config import Experiment
from pipeline.packing.config import Bound
from pipeline.store.config import Dataset, Trajectory

Row = dict[str, Any]
# What a part is called in a sentence, by the stage that makes it.
PARTS = {"generate": "dataset", "train": "run", "search": "bound", "certify": "bound"}
# Longest text of a title beside a reason.
_MOST_TITLE = 140


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
        "rejected": sum(result.proved_bound is None for result in results.bounds),
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


def rows(results: Results) -> list[Row]:
    """Return a row for each part without a result: what it is, which stage, and why."""
    return [
        {
            "part": PARTS[part.stage],
            "name": part.name,
            "title": title(part, results.experiment),
            "stage": part.stage,
            "status": part.status,
            "reason": part.reason,
            "when": minute(part.when) if part.when else "",
        }
        for part in results.missing
    ]


def title(part: Missing, experiment: Experiment) -> str:
    """Return what the part would have been."""
    match part.config:
        case Dataset() | Trajectory():
            text = dataset_title(part.config)
        case Bound():
            text = formulation_title(part.config)
        case run:
            text = problem_title(run, experiment)
    return text if len(text) <= _MOST_TITLE else f"{text[: _MOST_TITLE - 1]}…"


def summary(results: Results) -> str:
    """Return one sentence on what has no result: "2 of 5 parts have no result"."""
    missing, asked = len(results.missing), results.num_parts
    return f"{missing:,} of {asked:,} part{'' if asked == 1 else 's'} without a result"
