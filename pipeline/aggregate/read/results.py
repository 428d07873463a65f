"""What an experiment has: the results of its finished parts, and why each other part has none.

What may be called proved is decided by `BoundResult.proved_bound` and nowhere else: it is the bound
of a verdict with status "proved", about the very certificate that lies beside it. What the solver
claims (candidate, trace, run record) is never consulted for it, and a part in `Results.missing` has
no bound at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline.aggregate.read.quantities import Figure, float_above, same_digits
from pipeline.certify.format import ThreePoint, TwoPoint
from pipeline.config import Experiment
from pipeline.packing import known
from pipeline.packing.config import Bound
from pipeline.store.config import Dataset, Trajectory
from pipeline.training.operator.config import OperatorRun
from pipeline.training.pinn.config import PinnRun

Record = dict[str, Any]
Part = Dataset | Trajectory | PinnRun | OperatorRun | Bound

# failed: its stage said why; blocked: what it needs has no result; missing: not made yet, or a
# file is gone; damaged: a file is not what its stage wrote; outdated: of another configuration,
# seed or certificate; unsound: a "proof" that an existing packing contradicts.
Status = Literal["failed", "blocked", "missing", "damaged", "outdated", "unsound"]


@dataclass(frozen=True)
class DatasetResult:
    """A dataset and the record of its generation."""

    name: str
    config: Dataset | Trajectory
    record: Record


@dataclass(frozen=True)
class RunResult:
    """A training run: its record, metric history and sample prediction."""

    name: str
    config: PinnRun | OperatorRun
    record: Record
    metrics: pd.DataFrame
    prediction: dict[str, np.ndarray]

    @property
    def relative_l2(self) -> float:
        """Return the relative L2 error on test points or held-out samples."""
        return float(self.record["summary"]["relative_l2"])

    @property
    def num_steps(self) -> int:
        """Return the last step that the history tells of."""
        return int(self.metrics["step"].max())

    @property
    def training_s(self) -> float:
        """Return the time of the training loop with its evaluations, in seconds."""
        return float(self.metrics["elapsed_s"].max())


@dataclass(frozen=True)
class Search:
    """What a search left: its record, its trace and the bytes of its certificate. Empirical."""

    record: Record
    trace: dict[str, Any]
    candidate: bytes


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
    is there for a proved bound.
    """

    name: str
    config: Bound
    record: Record
    trace: dict[str, Any]
    verdict: Verdict
    verification: Record | None
    published: known.Known
    packing: known.Known | None
    certificate: TwoPoint | ThreePoint | None

    @property
    def proved_bound(self) -> str | None:
        """Return the proved upper bound as a decimal, or None."""
        return self.verdict.bound if self.verdict.status == "proved" else None

    @property
    def upper_bound(self) -> Figure | None:
        """Return the proved upper bound, its value rounded upward, or None."""
        if (bound := self.proved_bound) is None:
            return None
        return Figure("upper_bound", float_above(bound), unit="density", kind="proved", text=bound)

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
        """Return the degree of the certificate: the best found, at most the configured."""
        return int(self.record["summary"]["degree"])

    @property
    def ladder(self) -> list[tuple[int, str]]:
        """Return the solver's (degree, value) pairs by degree: empirical, for the figure only.

        The degree is the one parameter of the evaluations; with more of them there is no ladder.
        """
        found = [(list(x["parameters"].values()), x["bound"]) for x in self.trace["evaluations"]]
        return sorted((degree, bound) for (degree, *more), bound in found if not more)


@dataclass(frozen=True)
class Missing:
    """A part without a result: which stage has to run for it, and why there is nothing.

    `reason` is one line; `when` is the time of a recorded failure. `records` are those of earlier
    stages of the part (a search whose proof failed): what they measured is still told.
    """

    name: str
    config: Part
    stage: Literal["generate", "train", "search", "certify"]
    status: Status
    reason: str
    when: str | None = None
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Asked:
    """Who asked for the experiment: its name, files and overrides, command and start (UTC).

    What is not recorded is "unknown".
    """

    name: str
    files: tuple[str, ...] = ()
    overrides: str = "unknown"
    command: str = "unknown"
    started: str = "unknown"


@dataclass(frozen=True)
class Results:
    """All that an experiment has, in the experiment's order, the bounds by dimension."""

    experiment: Experiment
    asked: Asked
    datasets: list[DatasetResult]
    runs: list[RunResult]
    bounds: list[BoundResult]
    missing: list[Missing]

    @property
    def num_parts(self) -> int:
        """Return how many data sets, runs and bounds were asked for."""
        asked = self.experiment
        return len(asked.datasets) + len(asked.runs) + len(asked.bounds)

    def records(self) -> Iterator[Record]:
        """Yield every run record there is, those of unfinished parts included."""
        parts: list[DatasetResult | RunResult | BoundResult] = [
            *self.datasets, *self.runs, *self.bounds
        ]  # fmt: skip
        yield from (part.record for part in parts)
        yield from (bound.verification for bound in self.bounds if bound.verification)
        for part in self.missing:
            yield from part.records
