"""What was asked for and has no result, and why."""

from pipeline.aggregate.describe import dataset_title, formulation_title, problem_title
from pipeline.aggregate.read.origin import minute
from pipeline.aggregate.read.results import Missing, Results
from pipeline.aggregate.sections.base import Link, Row
from pipeline.config import Experiment
from pipeline.packing.config import Bound
from pipeline.store.config import Dataset, Trajectory

NAME, LINK = "missing", Link("missing", "What is missing")
# What a part is called in a sentence, by the stage that makes it.
PARTS = {"generate": "dataset", "train": "run", "search": "bound", "certify": "bound"}
# Longest text of a title beside a reason.
_MOST_TITLE = 140


def build(results: Results) -> Row | None:
    """Return a row for each part without a result."""
    if not results.missing:
        return None
    return {"rows": rows(results), "num_parts": results.num_parts}


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
        # Of the kinds of parts only runs are left.
        case run:
            text = problem_title(run, experiment)
    return text if len(text) <= _MOST_TITLE else f"{text[: _MOST_TITLE - 1]}…"


def summary(results: Results) -> str:
    """Return one sentence on what has no result: "2 of 5 parts have no result"."""
    missing, asked = len(results.missing), results.num_parts
    return f"{missing:,} of {asked:,} part{'' if asked == 1 else 's'} without a result"
