"""What a run's error is compared with: the error of the best that needs no learning, and its name.

For a PINN that is the trivial predictor of its problem: what knows only the conditions, with the
best constant in place of what a network would learn (`Problem.trivial`). For an operator it is the
better one of the mean training target and the best linear map (`training.operator.baselines`).
"""

from typing import Any, NamedTuple

from pipeline.aggregate.read.quantities import percent
from pipeline.problems.black_scholes_barenblatt.config import BlackScholesBarenblatt
from pipeline.problems.fokker_planck.config import FokkerPlanck
from pipeline.problems.hjb.config import HJB
from pipeline.problems.parabolic.config import Parabolic
from pipeline.problems.schroedinger.config import Schroedinger
from pipeline.problems.three_body.config import ThreeBody
from pipeline.problems.two_body.config import TwoBody
from pipeline.problems.union import AnyProblem
from pipeline.training.operator.config import OperatorRun
from pipeline.training.pinn.config import PinnRun

_MEAN, _LINEAR = "baseline_mean_l2", "baseline_linear_l2"
_OPERATORS = {_LINEAR: "linear map", _MEAN: "mean target"}
_HJB = {
    "lqg": "log((1 + |x|² + 2d(1 − t))/2) + C (1 − t)",
    "rosenbrock": "g(x) + C (1 − t)",
    "lin": "Σ x_i + C (1 − t), the solution",
}


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


def trivial_name(problem: AnyProblem) -> str:
    """Return the formula of the trivial predictor of a problem; C is the best constant."""
    match problem:
        case TwoBody() | ThreeBody():
            return "C (1 − |x|²)"
        case Parabolic():
            return "E u(0, √2 W_T), no reaction"
        case HJB():
            return _HJB[problem.equation]
        case BlackScholesBarenblatt():
            return "|x|² + C (1 − t)"
        case FokkerPlanck():
            return "log p₀(x) + C t"
        case Schroedinger():
            return "−(|x|²/2d) Σ ω_i x_i² + C (1 − |x|²/d)"
        case _:
            # A kind that is new: what its ansatz knows, A + B N, with a constant for N.
            return "A + C B, the conditions"


def of_run(run: PinnRun | OperatorRun, summary: dict[str, Any]) -> list[Baseline]:
    """Return the baselines of a run with the given summary, the best first."""
    if isinstance(run, PinnRun):
        return [Baseline(trivial_name(run.problem), summary.get("trivial_relative_l2"))]
    found = [Baseline(name, summary[key]) for key, name in _OPERATORS.items() if key in summary]
    return sorted(found, key=lambda each: each.error or 0.0) or [Baseline("", None)]


def meaning(run: PinnRun | OperatorRun, summary: dict[str, Any], quantity: str) -> str | None:
    """Return what stands behind a number of a run's summary, if it is about a baseline."""
    key = quantity.removesuffix("_standard_error")
    if key == "skill":
        return f"skill against: {of_run(run, summary)[0].name}"
    if key == "trivial_relative_l2" and isinstance(run, PinnRun):
        return f"trivial predictor: {trivial_name(run.problem)}"
    if key == _LINEAR and isinstance(run, OperatorRun):
        modes = " × ".join(map(str, run.model.modes))
        return f"linear map: ridge regression from the lowest {modes} modes of the input"
    return "mean target: that of the training split" if key == _MEAN else None
