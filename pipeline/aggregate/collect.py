"""The finished results of one experiment, read and cross-checked against the experiment.

What may be called proved is decided here and nowhere else: `BoundResult.proved_bound` is the
bound of a verdict with status "proved", about the very certificate that lies beside it. What the
solver claims (candidate, trace, run record) is never consulted for it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from pipeline.aggregate import files
from pipeline.aggregate.quantities import exact_decimal, last_place, same_digits
from pipeline.certify.format import Rejected, ThreePoint, TwoPoint, parse
from pipeline.config import Bound, Dataset, Experiment, OperatorRun, PinnRun, Trajectory
from pipeline.errors import ResultError
from pipeline.packing import known
from pipeline.provenance import config_digest, is_result_of

_VERDICT = {
    "status": str,
    "checks": list,
    "dim": int,
    "formulation": str,
    "certificate_sha256": str,
    "seconds": (int, float),
}
_FLOW = ("peak_dissipation", "peak_dissipation_time", "max_error", "resolution")
_PINN_ARRAYS = (
    "exact", "prediction", "ray_distance", "ray_time", "ray_exact", "ray_prediction"
)  # fmt: skip
_OPERATOR_ARRAYS = ("input", "truth", "prediction", "coordinates", "relative_l2")


@dataclass(frozen=True)
class DatasetResult:
    """A dataset and the record of its generation."""

    name: str
    config: Dataset | Trajectory
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
    """What the verifier said; `bound` is there exactly if `status` is "proved".

    `certificate_sha256` is None for a rejected file that could not be read.
    """

    status: str
    bound: str | None
    failed_condition: str | None
    checks: list[dict[str, Any]]
    certificate_sha256: str | None
    seconds: float


@dataclass(frozen=True)
class BoundResult:
    """An attempt at a bound: the solver's record and trace (empirical), and the verdict.

    `verification` is the verifier's run record; None if the verifier was run by hand. `certificate`
    is there for a proved two-point bound.
    """

    name: str
    config: Bound
    record: dict[str, Any]
    trace: dict[str, Any]
    verdict: Verdict
    verification: dict[str, Any] | None
    published: known.Known
    packing: known.Known | None
    certificate: TwoPoint | ThreePoint | None

    @property
    def proved_bound(self) -> str | None:
        """Return the proved upper bound as a decimal, or None."""
        return self.verdict.bound if self.verdict.status == "proved" else None

    @property
    def peer(self) -> known.Known:
        """Return the published bound of the same formulation: what its values converge to."""
        formulation = self.config.formulation
        peer = known.of_formulation(formulation.kind, formulation.dim)
        # Where the two-point bound is sharp, the exact value has more digits.
        if same_digits(self.published.value, peer.value):
            return self.published
        return peer

    @property
    def degree(self) -> int:
        """Return the degree of the certificate: the best of the ladder, at most the configured."""
        return int(self.record["summary"]["degree"])

    @property
    def ladder(self) -> list[tuple[int, str]]:
        """Return the solver's (degree, value) pairs by degree: empirical, for the figure only."""
        return sorted((step["degree"], step["bound"]) for step in self.trace["ladder"])


@dataclass(frozen=True)
class Results:
    """All results of an experiment, in the experiment's order, the bounds by dimension."""

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
        sorted(
            (_bound(name, part, experiment, results) for name, part in experiment.bounds.items()),
            key=lambda result: result.config.formulation.dim,
        ),
    )


def _dataset(
    name: str, part: Dataset | Trajectory, experiment: Experiment, data: Path
) -> DatasetResult:
    path = data / f"{name}.run.json"
    record = _record(path, "generate", name, part, part.seed)
    if isinstance(part, Trajectory):
        files.require(path, record["summary"], dict.fromkeys(_FLOW, (int, float)), "generate")
    return DatasetResult(name, part, record)


def _run(
    name: str, part: PinnRun | OperatorRun, experiment: Experiment, results: Path
) -> RunResult:
    folder = results / "train" / name
    record = _record(folder / "run.json", "train", name, part, experiment.seed)
    files.require(folder / "run.json", record["summary"], {"relative_l2": (int, float)}, "train")
    metrics = files.read_metrics(folder / "metrics.parquet")
    arrays = _PINN_ARRAYS if isinstance(part, PinnRun) else _OPERATOR_ARRAYS
    prediction = files.read_arrays(folder / "prediction.npz", arrays)
    return RunResult(name, part, record, metrics, prediction)


def _bound(name: str, part: Bound, experiment: Experiment, results: Path) -> BoundResult:
    search = results / "search" / name
    record = _record(search / "run.json", "search", name, part, experiment.seed)
    trace = _trace(search / "trace.json")
    summary = record["summary"]
    files.require(search / "run.json", summary, {"degree": int, "bound": str}, "search")
    _check_decimal(search / "run.json", "summary: bound", summary["bound"], "search")
    dim = part.formulation.dim
    path = results / "certify" / name / "verdict.json"
    verdict = _verdict(path, part)
    candidate = search / "candidate.json"
    content = files.read_bytes(candidate, "search")
    found = hashlib.sha256(content).hexdigest()
    if verdict.certificate_sha256 != found and verdict.certificate_sha256 is not None:
        raise ResultError(
            f"{path}: certificate_sha256: expected {found[:12]}… of {candidate},"
            f" got {str(verdict.certificate_sha256)[:12]}…; rerun certify"
        )
    by_whom = path.with_name("run.json")
    result = BoundResult(
        name,
        part,
        record,
        trace,
        verdict,
        _record(by_whom, "certify", name, part, experiment.seed) if by_whom.exists() else None,
        known.upper_bound(dim),
        known.packing(dim),
        _certificate(candidate, content) if verdict.status == "proved" else None,
    )
    _refuse_contradiction(path, result)
    return result


def _certificate(path: Path, content: bytes) -> TwoPoint | ThreePoint:
    try:
        return parse(content)
    except Rejected as error:
        raise ResultError(
            f"{path}: expected the certificate that the verdict calls proved, got one that"
            f" cannot be read ({error}); rerun search"
        ) from None


def _record(path: Path, stage: str, name: str, part: BaseModel, seed: int) -> dict[str, Any]:
    """Return the record in `path` if it is of this configuration and seed."""
    record = files.read_record(path, stage=stage, name=name)
    checks = (
        ("seed", seed, record["seed"] == seed),
        ("config_digest", config_digest(part), is_result_of(part, record)),
    )
    for key, expected, agrees in checks:
        if not agrees:
            raise ResultError(
                f"{path}: {key}: expected {expected} as in the experiment, got {record[key]};"
                f" rerun {stage}"
            )
    return record


def _trace(path: Path) -> dict[str, Any]:
    trace = files.read_json(path, "search")
    files.require(path, trace, {"ladder": list}, "search")
    for step in trace["ladder"]:
        files.require(path, step, {"degree": int, "bound": str}, "search")
        _check_decimal(path, "ladder: bound", step["bound"], "search")
    return trace


def _check_decimal(path: Path, key: str, text: Any, stage: str) -> None:
    try:
        exact_decimal(text)
    except ValueError as error:
        raise ResultError(f"{path}: {key}: {error}; rerun {stage}") from None


def _verdict(path: Path, part: Bound) -> Verdict:
    """Return the verdict in `path`; a rejected one is a result, an inconsistent one an error."""
    content = files.read_json(path, "certify")
    fields: dict[str, Any] = dict(_VERDICT)
    if content.get("status") == "rejected":
        # A rejected file need not have a readable formulation, dimension, or content at all.
        fields = fields | {"failed_condition": str}
        for key in ("dim", "formulation", "certificate_sha256"):
            del fields[key]
    files.require(path, content, fields, "certify")
    for check in content["checks"]:
        files.require(path, check, {"name": str, "detail": str}, "certify")
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
    reason = [content.get(key) for key in ("failed_condition", "detail")]
    return Verdict(
        status,
        bound,
        ": ".join(str(part) for part in reason if part) or None,
        content["checks"],
        content.get("certificate_sha256"),
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
    _check_decimal(path, "bound", content.get("bound"), "certify")


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
