"""Short names of problems, models and estimators for tables, figures and the console."""

from typing import Any

from pipeline.config import (
    FNO,
    MLP,
    SDGD,
    Bound,
    Dataset,
    Experiment,
    OperatorRun,
    PinnRun,
    TaylorGreen,
    Trajectory,
)

_EQUATIONS = {
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
    centred = "Σc = 0" if problem.zero_sum else "Σc ≠ 0"
    title = f"{_EQUATIONS[problem.equation]}, two-body solution, d = {problem.dim:,}, {centred}"
    return title + (f", draw {problem.coefficient_seed}" if problem.coefficient_seed else "")


def method_title(part: PinnRun | OperatorRun) -> str:
    """Return model and estimator of a run."""
    if isinstance(part.model, FNO):
        modes = " × ".join(map(str, part.model.modes))
        return f"FNO, {modes} modes, width {part.model.width}, depth {part.model.depth}"
    assert isinstance(part.model, MLP) and isinstance(part, PinnRun)
    mlp = f"MLP {part.model.width} × {part.model.depth}"
    if isinstance(part.estimator, SDGD):
        return f"{mlp}, SDGD, {part.estimator.sampled_axes} of {part.problem.dim:,} axes"
    return f"{mlp}, full Laplacian (naive baseline)"


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
