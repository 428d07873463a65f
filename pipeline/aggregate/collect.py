"""The finished results of one experiment, read and cross-checked against the experiment.

What may be called proved is decided here and nowhere else: `BoundResult.proved_bound` is the
bound of a verdict with status "proved", about the very certificate that lies beside it. What the
solver claims (candidate, trace, run record) is never consulted for it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from pipeline.aggregate import files
from pipeline.aggregate.quantities import exact_decimal, last_place
from pipeline.config import Bound, Dataset, Experiment, OperatorRun, PinnRun
from pipeline.errors import ResultError
from pipeline.packing import known
from pipeline.provenance import config_digest

_VERDICT = {
    "status": str,
    "checks": list,
    "dim": int,
    "formulation": str,
    "certificate_sha256": str,
    "seconds": (int, float),
}


@dataclass(frozen=True)
class DatasetResult:
    """A dataset and the record of its generation."""

    name: str
    config: Dataset
    record: dict[str, Any]


@dataclass(frozen=True)
class RunResult:
    """A training run: its record, metric history and sample prediction."""

    name: str
    config: PinnRun | OperatorRun
    record: dict[str, Any]
    metrics: pd.DataFrame
    prediction: dict[str, np.ndarray]


@dataclass(frozen=True)
class Verdict:
    """What the verifier said; `bound` is there exactly if `status` is "proved"."""

    status: str
    bound: str | None
    failed_condition: str | None
    checks: list[dict[str, Any]]
    certificate_sha256: str
    seconds: float


@dataclass(frozen=True)
class BoundResult:
    """An attempt at a bound: the solver's record and trace (empirical), and the verdict."""

    name: str
    config: Bound
    record: dict[str, Any]
    trace: dict[str, Any]
    verdict: Verdict
    published: known.Known
    packing: known.Known | None

    @property
    def proved_bound(self) -> str | None:
        """Return the proved upper bound as a decimal, or None."""
        return self.verdict.bound if self.verdict.status == "proved" else None


@dataclass(frozen=True)
class Results:
    """All results of an experiment, in the experiment's order."""

    experiment: Experiment
    datasets: list[DatasetResult]
    runs: list[RunResult]
    bounds: list[BoundResult]


def collect(experiment: Experiment, *, data: Path, results: Path) -> Results:
    """Return the results of everything `experiment` names.

    Raises:
        ResultError: a file is missing, damaged, of another configuration or seed, or a verdict is
            about another certificate or contradicts a known packing. The first one is named.
    """
    return Results(
        experiment,
        [_dataset(name, part, experiment, data) for name, part in experiment.datasets.items()],
        [_run(name, part, experiment, results) for name, part in experiment.runs.items()],
        [_bound(name, part, experiment, results) for name, part in experiment.bounds.items()],
    )


def _dataset(name: str, part: Dataset, experiment: Experiment, data: Path) -> DatasetResult:
    path = data / f"{name}.run.json"
    return DatasetResult(name, part, _record(path, "generate", name, part, experiment.seed))


def _run(
    name: str, part: PinnRun | OperatorRun, experiment: Experiment, results: Path
) -> RunResult:
    folder = results / "train" / name
    record = _record(folder / "run.json", "train", name, part, experiment.seed)
    files.require(folder / "run.json", record["summary"], {"relative_l2": (int, float)}, "train")
    metrics = files.read_metrics(folder / "metrics.parquet")
    return RunResult(name, part, record, metrics, files.read_arrays(folder / "prediction.npz"))


def _bound(name: str, part: Bound, experiment: Experiment, results: Path) -> BoundResult:
    search = results / "search" / name
    record = _record(search / "run.json", "search", name, part, experiment.seed)
    trace = files.read_json(search / "trace.json", "search")
    dim = part.formulation.dim
    packing = known.packing(dim)
    path = results / "certify" / name / "verdict.json"
    verdict = _verdict(path, part)
    found = files.sha256(search / "candidate.json", "search")
    if verdict.certificate_sha256 != found:
        raise ResultError(
            f"{path}: certificate_sha256: expected {found[:12]}… of {search / 'candidate.json'},"
            f" got {verdict.certificate_sha256[:12]}…; rerun certify"
        )
    result = BoundResult(name, part, record, trace, verdict, known.upper_bound(dim), packing)
    _refuse_contradiction(path, result)
    return result


def _record(path: Path, stage: str, name: str, part: BaseModel, seed: int) -> dict[str, Any]:
    """Return the record in `path` if it is of this configuration and seed."""
    record = files.read_record(path, stage=stage, name=name)
    for key, expected in (("seed", seed), ("config_digest", config_digest(part))):
        if record[key] != expected:
            raise ResultError(
                f"{path}: {key}: expected {expected} as in the experiment, got {record[key]};"
                f" rerun {stage}"
            )
    return record


def _verdict(path: Path, part: Bound) -> Verdict:
    """Return the verdict in `path`; a rejected one is a result, an inconsistent one an error."""
    content = files.read_json(path, "certify")
    if content.get("status") == "rejected":
        # A rejected file need not have a readable kind or dimension.
        files.require(path, content, {"failed_condition": str}, "certify")
    fields = dict(_VERDICT)
    if content.get("status") == "rejected":
        for key in ("dim", "formulation"):
            fields.pop(key)
    files.require(path, content, fields, "certify")
    status, bound = content["status"], content.get("bound")
    if status not in ("proved", "rejected"):
        raise ResultError(
            f"{path}: status: expected 'proved' or 'rejected', got {status!r}; rerun certify"
        )
    if status == "rejected":
        if bound is not None:
            raise ResultError(f"{path}: bound: expected null when rejected, got {bound!r}")
    else:
        _check_proved(path, content, part)
    return Verdict(
        status,
        bound,
        content.get("failed_condition"),
        content["checks"],
        content["certificate_sha256"],
        float(content["seconds"]),
    )


def _check_proved(path: Path, content: dict[str, Any], part: Bound) -> None:
    for key, expected in (("dim", part.formulation.dim), ("formulation", part.formulation.kind)):
        if content[key] != expected:
            raise ResultError(
                f"{path}: {key}: expected {expected!r} as in the experiment, got {content[key]!r};"
                " rerun certify"
            )
    if content.get("failed_condition") is not None:
        raise ResultError(f"{path}: failed_condition: expected null when proved; rerun certify")
    try:
        exact_decimal(content.get("bound"))
    except ValueError as error:
        raise ResultError(f"{path}: bound: {error}; rerun certify") from None


def _refuse_contradiction(path: Path, result: BoundResult) -> None:
    """Raise if a proved bound lies below the density of a packing that exists."""
    if result.proved_bound is None or result.packing is None:
        return
    density = result.packing.value
    if exact_decimal(result.proved_bound) < exact_decimal(density) - last_place(density):
        raise ResultError(
            f"{path}: bound: expected at least {density}, the density of the known packing"
            f" {result.packing.name}, got {result.proved_bound}; the verifier is unsound"
        )
