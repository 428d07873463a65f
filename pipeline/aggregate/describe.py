"""Names of problems, models and estimators for tables, figures and the console.

Titles come from the configuration (`wording`): those of two problems are equal exactly if the
problems are equal in everything that makes them. Results are compared by `problem_identity`, which
says the same without words.
"""

from collections.abc import Hashable
from typing import Any

from pydantic import BaseModel

from pipeline.aggregate.wording import (
    Words,
    always,
    elsewhere,
    identity,
    number,
    phrases,
    text,
    unless,
)
from pipeline.config import Experiment
from pipeline.estimators.auto.config import Auto
from pipeline.estimators.double_backward.config import DoubleBackward
from pipeline.estimators.exact_gram.config import ExactGram
from pipeline.estimators.full.config import Full
from pipeline.estimators.hutchinson.config import Hutchinson
from pipeline.estimators.jet.config import Jet
from pipeline.estimators.sdgd.config import SDGD
from pipeline.estimators.taylor.config import Taylor
from pipeline.models.fno.config import FNO
from pipeline.networks.mlp.config import MLP
from pipeline.optimizers.kaczmarz.config import Kaczmarz
from pipeline.packing.config import Bound
from pipeline.problems.hjb.config import HJB
from pipeline.problems.parabolic.config import Parabolic
from pipeline.problems.three_body.config import ThreeBody
from pipeline.problems.two_body.config import TwoBody
from pipeline.store.config import Dataset, Trajectory
from pipeline.training.operator.config import OperatorRun
from pipeline.training.pinn.config import PinnRun

# How a store is cut: like the neutral fields of a dataset, no part of what is in it.
_LAYOUT = frozenset({"samples_per_shard"})
_EQUATIONS = {
    "heat": "heat with source",
    "poisson": "Poisson",
    "allen_cahn": "Allen–Cahn",
    "sine_gordon": "sine-Gordon",
}
_KINDS = {
    "burgers": "Burgers",
    "darcy": "Darcy",
    "navier_stokes": "Navier–Stokes",
    "taylor_green": "Taylor–Green vortex",
    "decaying_turbulence": "decaying turbulence",
    "black_scholes_barenblatt": "Black–Scholes–Barenblatt",
    "fokker_planck": "Fokker–Planck (log-density)",
    "schroedinger": "Schrödinger ground state (log)",
    "two_point": "two-point",
    "three_point": "three-point",
}
_HJB = {"lqg": "HJB-LQG", "rosenbrock": "HJB-Rosenbrock", "lin": "HJB-LIN"}

_GRID = always(lambda grid: f"{text(grid)} points")
_VISCOSITY = always(lambda viscosity: f"viscosity {number(viscosity)}")
_N = always(lambda dim: f"n = {dim}")
_DEGREE = always(lambda degree: f"degree {degree}")
# The words of fields, told in this order; those of other fields follow (see `wording`).
_STORE: Words = {
    "grid": _GRID,
    "num_samples": lambda count, part: f"{count - part.num_test:,} + {part.num_test:,} samples",
    "num_test": elsewhere,
    "num_snapshots": always(lambda count: f"{count + 1:,} snapshots"),
    "dtype": unless("float32", str),
    "seed": unless(0, lambda seed: f"seed {seed}"),
}
_PINN: Words = {
    "equation": elsewhere,
    "mu": lambda mu, part: None if part.equation == "lin" and mu == 1.0 else f"μ = {number(mu)}",
    "dim": always(lambda dim: f"d = {dim:,}"),
    "zero_sum": always(lambda centred: "Σc = 0" if centred else "Σc ≠ 0"),
    "coefficient_seed": unless(0, lambda seed: f"draw {seed}"),
    "radius_exponent": unless(1.0, lambda power: f"training points at radius U^{number(power)}"),
    "points": unless("normal", lambda where: f"training points on {where}"),
    "reference_samples": unless(4096, lambda count: f"reference from {count:,} samples"),
    "reference_seed": unless(0, lambda seed: f"draw {seed} of the reference"),
}
_OTHERS: dict[str, Words] = {
    "burgers": {
        "viscosity": _VISCOSITY,
        "final_time": unless(1.0, lambda end: f"until t = {number(end)}"),
    },
    "darcy": {
        "low": lambda low, part: f"a ∈ {{{number(low)}, {number(part.high)}}}",
        "high": elsewhere,
    },
    "navier_stokes": {
        "initial": lambda initial, part: _title(initial),
        "viscosity": _VISCOSITY,
        "final_time": always(lambda end: f"until t = {number(end)}"),
    },
    "two_point": {"dim": _N, "degree": _DEGREE},
    "three_point": {"dim": _N, "degree": _DEGREE},
}


def _title(part: BaseModel) -> str:
    """Return the name of a kind and what tells it from others of that kind."""
    kind: str = getattr(part, "kind", "")
    words = _OTHERS.get(kind, _PINN)
    return ", ".join([_name(part), *phrases(part, words)])


def _name(part: Any) -> str:
    """Return the name of a kind, its equation included where it has several."""
    match part:
        case TwoBody() | ThreeBody():
            return f"{_EQUATIONS[part.equation]}, {part.kind.replace('_', '-')} solution"
        case Parabolic():
            return f"{_EQUATIONS[part.equation]}, parabolic, u(0.3, 0)"
        case HJB():
            return _HJB[part.equation]
        case _:
            kind: str = part.kind
            return _KINDS.get(kind, kind.replace("_", " "))


def dataset_title(part: Dataset | Trajectory) -> str:
    """Return the equation, grid and samples of a dataset: all that makes its fields."""
    neutral = _LAYOUT | part.neutral_here()
    others = phrases(part, {"problem": elsewhere} | dict(_STORE), without=neutral)
    return ", ".join([_title(part.problem), *others])


def dataset_count(part: Dataset | Trajectory) -> str:
    """Return how many fields a dataset holds."""
    if isinstance(part, Trajectory):
        return f"{part.num_snapshots + 1:,} snapshots"
    return f"{part.num_samples - part.num_test:,} + {part.num_test:,}"


def solver_check(part: Dataset | Trajectory) -> str:
    """Return what the recorded error estimate of a dataset's solver measures."""
    return {
        "burgers": "L², space and time",
        "darcy": "L², space",
        "navier_stokes": "L² of the velocity, space and time",
    }[part.problem.kind]


def problem_title(part: PinnRun | OperatorRun, experiment: Experiment) -> str:
    """Return the problem a run solves: equal titles are equal problems."""
    if isinstance(part, OperatorRun):
        return dataset_title(experiment.datasets[part.dataset])
    return _title(part.problem)


def problem_identity(part: PinnRun | OperatorRun, experiment: Experiment) -> Hashable:
    """Return what is equal for two runs exactly if they may be compared: their problem."""
    if isinstance(part, OperatorRun):
        dataset = experiment.datasets[part.dataset]
        return identity(dataset, without=_LAYOUT | dataset.neutral_here())
    return identity(part.problem)


def method_title(part: PinnRun | OperatorRun) -> str:
    """Return model, estimator and optimiser of a run."""
    if isinstance(part.model, FNO):
        told: Words = {
            "modes": always(lambda modes: f"{text(modes)} modes"),
            "width": always(lambda width: f"width {width}"),
            "depth": always(lambda depth: f"depth {depth}"),
        }
        return ", ".join(["FNO", *phrases(part.model, told)])
    assert isinstance(part.model, MLP) and isinstance(part, PinnRun)
    told = dict.fromkeys(("width", "depth", "skip"), elsewhere)
    mlp = ", ".join([f"MLP {part.model.width} × {part.model.depth}", *phrases(part.model, told)])
    if part.model.skip != "none":
        polynomial = f"{part.model.skip} polynomial"
        optimizer = part.train.optimizer
        if isinstance(optimizer, Kaczmarz):
            polynomial += " by Kaczmarz steps"
            if optimizer.network_after == 1.0:
                # The network stays zero: neither it nor its estimator takes part.
                return polynomial
        mlp = f"{mlp} + {polynomial}"
    how = estimator_title(part)
    sets = f" × {part.train.index_sets} sets" if part.train.index_sets > 1 else ""
    return f"{mlp}, {how}{sets}" + (", unbiased loss" if part.train.loss == "unbiased" else "")


def estimator_title(part: PinnRun) -> str:
    """Return the estimator of a run and how many directions it samples."""
    told = dict.fromkeys(("sampled_axes", "num_directions", "distribution"), elsewhere)
    if isinstance(part.estimator, Auto):
        del told["sampled_axes"]
    return ", ".join([_estimator(part), *phrases(part.estimator, told)])


def _estimator(part: PinnRun) -> str:
    match part.estimator:
        case SDGD(sampled_axes=axes):
            return f"SDGD, {axes} of {part.problem.dim:,} axes"
        case Taylor(num_directions=axes):
            return f"STDE (sparse), {axes} of {part.problem.dim:,} axes"
        case DoubleBackward(sampled_axes=axes):
            return f"SDGD by double backward, {axes} of {part.problem.dim:,} axes"
        case Jet(sampled_axes=axes):
            return f"SDGD by nested jvp, {axes} of {part.problem.dim:,} axes"
        case Hutchinson():
            return f"Hutchinson, {part.estimator.num_directions} {part.estimator.distribution}"
        case ExactGram():
            return "exact operator (Gram matrix)"
        case Auto():
            return "estimator chosen by measurement"
        case Full():
            return "full operator (naive baseline)"


def formulation_title(part: Bound, degree: int | None = None) -> str:
    """Return the formulation of a bound; `degree` is that of its certificate, if there is one."""
    found = "" if degree in (None, part.formulation.degree) else f"; certificate of degree {degree}"
    return _title(part.formulation) + found


def dimension(part: Any) -> int | None:
    """Return the space dimension of a configured dataset, PINN run or bound."""
    match part:
        case Dataset() | Trajectory():
            return len(part.grid)
        case PinnRun():
            return part.problem.dim
        case Bound():
            return part.formulation.dim
    return None
