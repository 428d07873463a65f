"""The final numbers of a flow, from the records of its snapshots."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.integrate import cumulative_simpson

from pipeline.equations.spectral.etdrk import count_steps, kept_modes
from pipeline.errors import SolverError
from pipeline.store.config import Trajectory

# How `max_error` of a store is meant, beside the number.
MEANING = (
    "empirical estimate of the largest error of a snapshot, in space and in time and of rounding;"
    " relative in the L2 norm of the velocity, for the flow from the first snapshot as stored"
)


def series(records: Sequence[dict[str, Any]]) -> np.ndarray:
    """Return the diagnostics of every step, (num_steps + 1, 5): `trajectory.DIAGNOSTICS`."""
    return np.array([row for record in records for row in record["series"]])


def peak(time: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Return place and height of the largest value, by the parabola through its neighbours."""
    top = int(values.argmax())
    # At an end there is no parabola: the peak may lie outside.
    if top in (0, len(values) - 1):
        return float(time[top]), float(values[top])
    here = slice(top - 1, top + 2)
    # Centred, so that the fit does not cancel.
    a, b, c = np.polyfit(time[here] - time[top], values[here], 2)
    return float(time[top] - b / (2 * a)), float(c - b**2 / (4 * a))


def imbalance(table: np.ndarray) -> float:
    """Return the largest |E(0) - E(t) - ∫ε| / E(0): 0 for an exact solution.

    Simpson's rule for the integral, so O(h⁴) like the solver; heuristic.
    """
    time, energy, dissipation = table[:, 0], table[:, 1], table[:, 3]
    lost = np.asarray(cumulative_simpson(dissipation, x=time, initial=0))
    return float(abs(energy[0] - energy - lost).max() / energy[0])


def intervals(dataset: Trajectory) -> tuple[float, int]:
    """Return the time between two snapshots and the number of steps in it."""
    interval = dataset.problem.final_time / dataset.num_snapshots
    return interval, count_steps(interval, dataset.problem.time_step)


def accuracy(dataset: Trajectory, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the largest estimated error of a snapshot and what is meant by it."""
    worst = max(records, key=lambda record: record["error"])
    return {
        "max_error": worst["error"],
        "max_error_is": MEANING,
        "worst_snapshot": worst["snapshot"],
        "tolerance": dataset.largest_error,
    }


def check_tolerance(dataset: Trajectory, name: str, record: dict[str, Any]) -> None:
    """Return if the estimated error of a snapshot is within the tolerance of the flow `name`.

    Raises:
        SolverError: it is not; snapshot, estimate and remedy are named.
    """
    error, tolerance = record["error"], dataset.largest_error
    if error <= tolerance:
        return
    # Half as many points again, rounded to an even number, as the grid has to be.
    points = 2 * round(3 * dataset.grid[0] / 4)
    raise SolverError(
        f"datasets.{name}: snapshot {record['snapshot']} (t = {record['series'][-1][0]:.3g}):"
        f" expected an error of at most {tolerance:.3g} (tolerance), estimated {error:.3g} in space"
        f" and time; use a finer grid ([{points}, {points}, {points}]) with a smaller time_step"
        f" ({dataset.problem.time_step / 1.5:.2g}), a larger viscosity or an earlier final_time,"
        " or raise tolerance"
    )


def summarise(dataset: Trajectory, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the summary of a run record.

    `max_error` is that of the velocity field (`solvers.mpi_companion`), `energy_imbalance` that of
    the energy budget, which an unresolved flow keeps as well as a resolved one. `resolution` is
    k_max η at the peak of dissipation, η = (ν³/ε)^¼ Kolmogorov's length: about 1 or more means
    that the flow is resolved.
    """
    table = series(records)
    num_steps = len(table) - 1
    peak_time, peak_dissipation = peak(table[:, 0], table[:, 3])
    # Kolmogorov's length at the peak, where it is smallest.
    length = (dataset.problem.viscosity**3 / peak_dissipation) ** 0.25
    return {
        "num_snapshots": dataset.num_snapshots + 1,
        "num_steps": num_steps,
        "seconds_per_step": sum(record["seconds"] for record in records) / num_steps,
        "bytes": sum(slab["size"] for record in records for slab in record["slabs"]),
        **accuracy(dataset, records),
        "energy_imbalance": imbalance(table),
        "max_divergence": float(table[:, 4].max()),
        "initial_energy": float(table[0, 1]),
        "final_energy": float(table[-1, 1]),
        "peak_dissipation": peak_dissipation,
        "peak_dissipation_time": peak_time,
        "resolution": (kept_modes(dataset.grid[0]) - 1) * length,
    }
