"""What a run's error is compared with: the error of the best that needs no learning, and its name.

For a PINN that is the trivial predictor of its problem: what knows only the conditions, with the
best constant in place of what a network would learn (`Problem.trivial`). For an operator it is the
better one of the mean training target and the best linear map (`training.operator.baselines`).
"""

from typing import Any, NamedTuple

from pipeline.aggregate.read.quantities import percent
from pipeline.models.settings import FREQUENCIES
from pipeline.training.operator.config import OperatorRun
from pipeline.training.pinn.config import PinnRun

_MEAN, _LINEAR = "baseline_mean_l2", "baseline_linear_l2"
_OPERATORS = {_LINEAR: "linear map", _MEAN: "mean target"}


class Baseline(NamedTuple):
    """A predictor without learning; `error` is None where the run recorded none."""

    name: str
    error: float | None

    @property
    def percent(self) -> str:
        """Return the error for a table."""
        return percent(self.error)

    def __str__(self) -> str:
        return "–" if self.error is None else f"{self.percent}, {self.name}"


def of_run(run: PinnRun | OperatorRun, summary: dict[str, Any]) -> list[Baseline]:
    """Return the baselines of a run with the given summary, the best first."""
    if isinstance(run, PinnRun):
        return [Baseline(run.problem.baseline(), summary.get("trivial_relative_l2"))]
    found = [Baseline(name, summary[key]) for key, name in _OPERATORS.items() if key in summary]
    return sorted(found, key=lambda each: each.error or 0.0) or [Baseline("", None)]


def meaning(run: PinnRun | OperatorRun, summary: dict[str, Any], quantity: str) -> str | None:
    """Return what stands behind a number of a run's summary, if it is about a baseline."""
    key = quantity.removesuffix("_standard_error")
    if key == "skill":
        return f"skill against: {of_run(run, summary)[0].name}"
    if key == "trivial_relative_l2" and isinstance(run, PinnRun):
        return f"trivial predictor: {run.problem.baseline()}"
    if key == _LINEAR and isinstance(run, OperatorRun):
        kept = run.model.kept_frequencies()
        modes = " × ".join(map(str, kept)) if kept else f"{FREQUENCIES} or fewer"
        return f"linear map: ridge regression from the lowest {modes} modes of the input"
    return "mean target: that of the training split" if key == _MEAN else None
