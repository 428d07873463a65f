"""Names of problems, models and estimators for tables, figures and the console.

Titles come from the configuration (`wording`): those of two problems are equal exactly if the
problems are equal in everything that makes them. Results are compared by `problem_identity`, which
says the same without words.
"""

from collections.abc import Hashable
from typing import Any

from pipeline.config import Experiment
from pipeline.packing.config import Bound
from pipeline.store.config import Dataset, Trajectory
from pipeline.training.operator.config import OperatorRun
from pipeline.training.pinn.config import PinnRun
from pipeline.wording import (
    Words,
    always,
    elsewhere,
    identity,
    phrases,
    text,
    unless,
)

# How a store is cut: like the neutral fields of a dataset, no part of what is in it.
_LAYOUT = frozenset({"samples_per_shard"})
_GRID = always(lambda grid: f"{text(grid)} points")
# The words of fields, told in this order; those of other fields follow (see `wording`).
_STORE: Words = {
    "grid": _GRID,
    "num_samples": lambda count, part: f"{count - part.num_test:,} + {part.num_test:,} samples",
    "num_test": elsewhere,
    "num_snapshots": always(lambda count: f"{count + 1:,} snapshots"),
    "dtype": unless("float32", str),
    "seed": unless(0, lambda seed: f"seed {seed}"),
}


def dataset_title(part: Dataset | Trajectory) -> str:
    """Return the equation, grid and samples of a dataset: all that makes its fields."""
    neutral = _LAYOUT | part.neutral_here()
    others = phrases(part, {"problem": elsewhere} | dict(_STORE), without=neutral)
    return ", ".join([part.problem.title(), *others])


def dataset_count(part: Dataset | Trajectory) -> str:
    """Return how many fields a dataset holds."""
    if isinstance(part, Trajectory):
        return f"{part.num_snapshots + 1:,} snapshots"
    return f"{part.num_samples - part.num_test:,} + {part.num_test:,}"


def solver_check(part: Dataset | Trajectory) -> str:
    """Return what the recorded error estimate of a dataset's solver measures."""
    return part.problem.error_of


def problem_title(part: PinnRun | OperatorRun, experiment: Experiment) -> str:
    """Return the problem a run solves: equal titles are equal problems."""
    if isinstance(part, OperatorRun):
        return dataset_title(experiment.datasets[part.dataset])
    return part.problem.title()


def problem_identity(part: PinnRun | OperatorRun, experiment: Experiment) -> Hashable:
    """Return what is equal for two runs exactly if they may be compared: their problem."""
    if isinstance(part, OperatorRun):
        dataset = experiment.datasets[part.dataset]
        return identity(dataset, without=_LAYOUT | dataset.neutral_here())
    return identity(part.problem)


def method_title(part: PinnRun | OperatorRun) -> str:
    """Return model, estimator and optimiser of a run."""
    if isinstance(part, OperatorRun):
        return part.model.title()
    network = part.model.title()
    if part.model.polynomial != "none":
        polynomial, optimizer = f"{part.model.polynomial} polynomial", part.train.optimizer
        if optimizer.moves_polynomial:
            polynomial += f" by {optimizer.label()}"
        if not optimizer.trains_network:
            # The network stays zero: neither it nor its estimator takes part.
            return polynomial
        network = f"{network} + {polynomial}"
    sets = f" × {part.train.index_sets} sets" if part.train.index_sets > 1 else ""
    how = f"{network}, {estimator_title(part)}{sets}"
    return how + (", unbiased loss" if part.train.loss == "unbiased" else "")


def estimator_title(part: PinnRun) -> str:
    """Return the estimator of a run and how many directions it samples."""
    return part.estimator.title_of(part.problem.dim)


def formulation_title(part: Bound, degree: int | None = None) -> str:
    """Return the formulation of a bound; `degree` is that of its certificate, if there is one."""
    # The search may end below the configured degree: then the certificate's is told, too.
    found = "" if degree in (None, part.formulation.degree) else f"; certificate of degree {degree}"
    return part.formulation.title() + found


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
