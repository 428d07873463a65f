"""Short names of problems, models and estimators for tables, figures and the console."""

from typing import Any

from pipeline.config import (
    FNO,
    HJB,
    MLP,
    SDGD,
    Auto,
    BlackScholesBarenblatt,
    Bound,
    Dataset,
    DoubleBackward,
    ExactGram,
    Experiment,
    FokkerPlanck,
    Full,
    Hutchinson,
    Jet,
    Kaczmarz,
    OperatorRun,
    Parabolic,
    PinnProblem,
    PinnRun,
    Schroedinger,
    Taylor,
    TaylorGreen,
    ThreeBody,
    Trajectory,
    TwoBody,
)

_EQUATIONS = {
    "heat": "heat with source",
    "poisson": "Poisson",
    "allen_cahn": "Allen–Cahn",
    "sine_gordon": "sine-Gordon",
}


def dataset_title(part: Dataset | Trajectory) -> str:
    """Return the equation and grid of a dataset."""
    grid = " × ".join(f"{points:,}" for points in part.grid)
    if isinstance(part, Trajectory):
        green = isinstance(part.problem.initial, TaylorGreen)
        flow = "Taylor–Green vortex" if green else "decaying turbulence"
        return f"Navier–Stokes, {flow}, viscosity {part.problem.viscosity:g}, {grid} points"
    if part.problem.kind == "burgers":
        return f"Burgers, viscosity {part.problem.viscosity:g}, {grid} points"
    return f"Darcy, a ∈ {{{part.problem.low:g}, {part.problem.high:g}}}, {grid} points"


def dataset_count(part: Dataset | Trajectory) -> str:
    """Return how many fields a dataset holds."""
    if isinstance(part, Trajectory):
        return f"{part.num_snapshots + 1:,} snapshots"
    return f"{part.num_samples - part.num_test:,} + {part.num_test:,}"


def solver_check(part: Dataset | Trajectory) -> str:
    """Return what the recorded error estimate of a dataset's solver measures."""
    return {
        "burgers": "time step halved",
        "darcy": "residual",
        "navier_stokes": "energy budget, not L²",
    }[part.problem.kind]


def problem_title(part: PinnRun | OperatorRun, experiment: Experiment) -> str:
    """Return the problem a run solves: runs with equal titles may be compared."""
    if isinstance(part, OperatorRun):
        return dataset_title(experiment.datasets[part.dataset])
    problem = part.problem
    seed = getattr(problem, "coefficient_seed", 0)
    return _pinn_title(problem) + (f", draw {seed}" if seed else "")


def _pinn_title(problem: PinnProblem) -> str:
    where = f"d = {problem.dim:,}"
    match problem:
        case TwoBody() | ThreeBody():
            bodies = "two" if isinstance(problem, TwoBody) else "three"
            centred = "Σc = 0" if problem.zero_sum else "Σc ≠ 0"
            return f"{_EQUATIONS[problem.equation]}, {bodies}-body solution, {where}, {centred}"
        case Parabolic():
            return f"{_EQUATIONS[problem.equation]}, parabolic, u(0.3, 0), {where}"
        case HJB(equation="lin"):
            return f"HJB-LIN, {where}"
        case HJB():
            name = "HJB-LQG" if problem.equation == "lqg" else "HJB-Rosenbrock"
            return f"{name}, μ = {problem.mu:g}, {where}"
        case BlackScholesBarenblatt():
            return f"Black–Scholes–Barenblatt, {where}"
        case FokkerPlanck():
            return f"Fokker–Planck (log-density), {where}"
        case Schroedinger():
            return f"Schrödinger ground state (log), {where}"
        case _:
            return f"{problem.kind.replace('_', ' ')}, {where}"


def method_title(part: PinnRun | OperatorRun) -> str:
    """Return model, estimator and optimiser of a run."""
    if isinstance(part.model, FNO):
        modes = " × ".join(map(str, part.model.modes))
        return f"FNO, {modes} modes, width {part.model.width}, depth {part.model.depth}"
    assert isinstance(part.model, MLP) and isinstance(part, PinnRun)
    mlp = f"MLP {part.model.width} × {part.model.depth}"
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


def formulation_title(part: Bound, degree: int) -> str:
    """Return the formulation of a bound and the degree its certificate has."""
    return f"{part.formulation.kind.replace('_', '-')}, degree {degree}"


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
