"""All that an experiment has, read and cross-checked against it; a bad part never stops the rest.

A part without a whole result of this configuration and seed becomes a `Missing` with one line of
reason: the damage found in its files; else what its stage recorded when it failed; else which data
set it waits for; else that it is not made yet. A rejected certificate is a result, not a failure.
"""

from pathlib import Path

from pipeline.aggregate.read import files, parts, verdicts
from pipeline.aggregate.read.absence import Stage, needs_text
from pipeline.aggregate.read.asked import asked
from pipeline.aggregate.read.results import (
    BoundResult,
    DatasetResult,
    Missing,
    Results,
    RunResult,
    Verdict,
)
from pipeline.config import Experiment
from pipeline.errors import ResultError
from pipeline.packing.config import Bound
from pipeline.store.config import Dataset, Trajectory
from pipeline.training.operator.config import OperatorRun
from pipeline.training.pinn.config import PinnRun

__all__ = ["BoundResult", "DatasetResult", "Missing", "Results", "RunResult", "Verdict", "collect"]


def collect(experiment: Experiment, *, data: Path, results: Path) -> Results:
    """Return everything that `experiment` names and has, and why the rest is missing.

    Never raises for the content of a file. Reads `data/<name>.run.json`, `data/<name>.zarr` and, in
    `results`, experiment.json, train/<name>/, search/<name>/, certify/<name>/ and failed/.
    """
    found = Results(experiment, asked(results), [], [], [], [])
    for name, dataset in experiment.datasets.items():
        _add_dataset(found, name, dataset, data)
    for name, run in experiment.runs.items():
        _add_run(found, name, run, results)
    for name, bound in experiment.bounds.items():
        _add_bound(found, name, bound, results)
    # Sections group neighbours by dimension.
    found.bounds.sort(key=lambda result: result.config.formulation.dim)
    return found


def _add_dataset(found: Results, name: str, part: Dataset | Trajectory, data: Path) -> None:
    outputs = (data / f"{name}.run.json", data / f"{name}.zarr" / "zarr.json")
    try:
        found.datasets.append(parts.dataset(name, part, data))
    except (ResultError, OSError) as error:
        found.missing.append(Stage(name, part, "generate", data, outputs).missing(error))


def _add_run(found: Results, name: str, part: PinnRun | OperatorRun, results: Path) -> None:
    folder, needs = results / "train" / name, _needed(found, part)
    outputs = tuple(folder / file for file in ("run.json", "metrics.parquet", "prediction.npz"))
    try:
        run = parts.run(name, part, found.experiment.seed, results)
        # Its record does not tell which data it saw: those of now are not the experiment's.
        if needs is not None and needs.status == "outdated":
            raise files.OutdatedError(f"{folder}: {needs_text(needs)}; rerun generate and train")
        found.runs.append(run)
    except (ResultError, OSError) as error:
        stage = Stage(name, part, "train", results, outputs, needs)
        found.missing.append(stage.missing(error))


def _needed(found: Results, part: PinnRun | OperatorRun) -> Missing | None:
    """Return the data set that `part` needs, if it has no result."""
    name = part.dataset if isinstance(part, OperatorRun) else None
    # Data sets are read before the runs that need them.
    named = (other for other in found.missing if other.stage == "generate" and other.name == name)
    return next(named, None)


def _add_bound(found: Results, name: str, part: Bound, results: Path) -> None:
    seed = found.experiment.seed
    folder = results / "search" / name
    outputs = tuple(folder / file for file in ("run.json", "trace.json", "candidate.json"))
    stage = Stage(name, part, "search", results, outputs)
    try:
        search = parts.search(name, part, seed, results)
        # From here on a complaint is about the proof; what the search measured is still told.
        folder = results / "certify" / name
        outputs = (folder / "verdict.json", folder / "run.json")
        stage = Stage(name, part, "certify", results, outputs, records=(search.record,))
        found.bounds.append(verdicts.bound(name, part, seed, results, search))
    except (ResultError, OSError) as error:
        found.missing.append(stage.missing(error))
