"""The generate stage of a flow: what every MPI rank runs.

`mpirun -n N python -m pipeline.datagen.mpi_stage --ranks N --dataset JSON ...`; the workflow's
rule `simulate` puts the command together (`cluster.mpi.run`).
"""

import argparse
import json
import math
import platform
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cluster import mpi, time_limit
from cluster.time_limit import TimeLimit
from pipeline.datagen import flow_summary, folder, mpi_shard
from pipeline.datagen.mpi_shard import Plan, State
from pipeline.equations.navier_stokes import companion as mpi_companion
from pipeline.equations.navier_stokes import initial as mpi_initial
from pipeline.equations.navier_stokes.companion import Companion
from pipeline.equations.navier_stokes.config import TaylorGreen
from pipeline.equations.navier_stokes.solver import NavierStokes
from pipeline.errors import PipelineError, TimeLimitError
from pipeline.runtime import terminal
from pipeline.runtime.digest import config_digest
from pipeline.runtime.job import Job
from pipeline.store import place, slabs
from pipeline.store.config import Trajectory


def run(
    comm: Any, plan: Plan, job: Job, *, patience_s: float, limit: TimeLimit | None = None
) -> None:
    """Write the trajectory of `plan` to its store and, by rank 0, the record of `job`.

    Every rank writes its own slab of every snapshot; nothing is gathered. Killed at any moment and
    started again with the same configuration, seed and source, the run verifies the snapshots that
    are recorded, goes on from the last one and ends with the same bytes as an undisturbed run.
    Waits `patience_s` for ranks of an earlier run that are still ending. `limit` counts on rank 0.

    Raises:
        SolverError: the flow became infinite or NaN, which a smaller time step helps, or a snapshot
            misses the tolerance.
        StoreError: a slab on disk differs from what its rank computed.
        PlaceError: something that the pipeline did not make is at the store's place.
        TimeLimitError: the next snapshot would not be finished before `limit`; see
            `time_limit.requeued`.
        PipelineError: another run writes the store.
    """
    name = job.name
    with ExitStack() as stack:
        summary = mpi.collectively(comm, _begin, comm, stack, plan, job, patience_s)
        solver = NavierStokes(comm, plan.dataset.grid[0], plan.dataset.problem.viscosity)
        companion = Companion(solver)
        records, state = _resume(comm, plan, companion, name)
        # The tolerance may have become smaller since these snapshots were made.
        for record_of_snapshot in records:
            flow_summary.check_tolerance(plan.dataset, name, record_of_snapshot)
        found = len(records)
        for snapshot in range(found, plan.dataset.num_snapshots + 1):
            # Not before the first: each start makes a snapshot, so that requeueing ends.
            if len(records) > found:
                mpi.collectively(comm, _on_root, comm, _watch_time, limit, plan, name, records)
            records.append(_snapshot(comm, plan, name, companion, state, snapshot))
            if comm.rank == 0:
                print(_progress(name, plan, records), flush=True)
        _publish(comm, plan, records)
        summary.update(flow_summary.summarise(plan.dataset, records))
        summary["ranks_by_node"] = Counter(comm.allgather(platform.node()))
    if comm.rank == 0:
        # Only now: a run killed before its record was written still finds its snapshots.
        folder.finish(plan)


def _begin(comm: Any, stack: ExitStack, plan: Plan, job: Job, patience_s: float) -> dict[str, Any]:
    """Begin the job on rank 0; return the summary for its record, which others have in vain."""
    if comm.rank:
        return {}
    place.check_place(plan.store)
    running = job.running(plan.dataset, lock=plan.partial, patience_s=patience_s)
    return stack.enter_context(running).summary


def _resume(
    comm: Any, plan: Plan, companion: Companion, name: str
) -> tuple[list[dict[str, Any]], State]:
    """Return the records to go on from and this rank's state at the last of them."""
    found = mpi.collectively(comm, _on_root, comm, mpi_shard.prepare, plan)
    records: list[dict[str, Any]] = comm.bcast(found)
    state = mpi_shard.load(plan, records, comm.rank) if records else None
    # All or none: ranks that go on from different snapshots would wait for each other for ever.
    if all(comm.allgather(state is not None)):
        assert state is not None
        if comm.rank == 0:
            total = plan.dataset.num_snapshots + 1
            print(f"generate {name}: resuming with {len(records)} of {total} snapshots", flush=True)
        return records, state
    if records:
        mpi.collectively(comm, _on_root, comm, mpi_shard.clear, plan)
    fine = initial_state(companion.fine, plan.dataset, plan.seed)
    return [], State(fine, companion.restrict(fine))


def _on_root(comm: Any, action: Any, *arguments: Any) -> Any:
    return action(*arguments) if comm.rank == 0 else None


def initial_state(solver: NavierStokes, dataset: Trajectory, seed: int) -> np.ndarray:
    """Return this rank's part of û at time 0."""
    initial = dataset.problem.initial
    if isinstance(initial, TaylorGreen):
        return mpi_initial.taylor_green(solver)
    return mpi_initial.random_field(solver, seed, initial.energy, initial.peak_wavenumber)


def _snapshot(
    comm: Any, plan: Plan, name: str, companion: Companion, state: State, snapshot: int
) -> dict[str, Any]:
    """Advance `state` in place to a snapshot, store it and return its record, on every rank.

    Raises:
        SolverError: the flow does not exist, or misses the tolerance: nothing is written then.
    """
    started = time.perf_counter()
    solver = companion.fine
    series = _advance(plan.dataset, solver, state.fine, snapshot)
    error = _estimate(plan.dataset, companion, state, snapshot)
    spectrum = solver.spectrum(state.fine)
    seconds = time.perf_counter() - started
    record: dict[str, Any] = {
        "snapshot": snapshot,
        "series": series,
        "spectrum": spectrum.tolist(),
        # Rank 0's clock for all: the record is the same on every rank.
        "seconds": comm.bcast(seconds),
        "error": error,
    }
    flow_summary.check_tolerance(plan.dataset, name, record)
    velocity = solver.to_physical(state.fine).astype(plan.dataset.dtype)
    slab, checksums = mpi.collectively(
        comm, mpi_shard.save, plan, snapshot, comm.rank, velocity, state
    )
    record |= {"slabs": comm.allgather(slab), "states": comm.allgather(checksums)}
    mpi.collectively(comm, _on_root, comm, mpi_shard.commit, plan, snapshot, record)
    # Only after the commit: until then a restart goes on from the state before.
    mpi_shard.forget_state(plan, snapshot - 1, comm.rank)
    return record


def _advance(
    dataset: Trajectory, solver: NavierStokes, state: np.ndarray, snapshot: int
) -> list[list[float]]:
    """Advance `state` from the snapshot before; return [time, *budget] after every step."""
    if snapshot == 0:
        return [[0.0, *asdict(solver.budget(state)).values()]]
    interval, num_steps = flow_summary.intervals(dataset)
    coefficients = solver.step_coefficients(interval / num_steps)
    series = []
    for step in range(1, num_steps + 1):
        solver.advance(state, coefficients, 1)
        # Not by adding steps up, which would add up their rounding.
        now = interval * (snapshot - 1 + step / num_steps)
        series.append([now, *asdict(solver.budget(state)).values()])
    return series


def _estimate(dataset: Trajectory, companion: Companion, state: State, snapshot: int) -> float:
    """Advance the companion to a snapshot and return the error of the flow there, on every rank."""
    interval, num_steps = flow_summary.intervals(dataset)
    fewer = mpi_companion.coarser_steps(num_steps)
    # A companion that becomes infinite leaves no estimate: no tolerance admits that.
    if snapshot and not companion.advance(state.coarser, interval, fewer):
        return math.inf
    distance = companion.distance(state.fine, state.coarser)
    rounding = float(np.finfo(dataset.dtype).eps) / 2
    return mpi_companion.error(distance, dataset.grid[0], num_steps) + rounding


def _watch_time(
    limit: TimeLimit | None, plan: Plan, name: str, records: list[dict[str, Any]]
) -> None:
    """Have the job queued again if another snapshot like the last would not be done in time."""
    if limit is not None and limit.is_near(ahead_s=records[-1]["seconds"]):
        with time_limit.requeued(limit):
            raise TimeLimitError(
                f"datasets.{name}: stopped after snapshot {len(records) - 1} of"
                f" {plan.dataset.num_snapshots} before the job's time limit"
            )


def _progress(name: str, plan: Plan, records: list[dict[str, Any]]) -> str:
    now, energy, _, dissipation, _ = records[-1]["series"][-1]
    return (
        f"generate {name}: snapshot {len(records) - 1}/{plan.dataset.num_snapshots},"
        f" t = {now:.3g}, energy {energy:.6g}, dissipation {dissipation:.5g}"
    )


def _publish(comm: Any, plan: Plan, records: list[dict[str, Any]]) -> None:
    """Verify all slabs, each rank its own; then rank 0 completes the store and moves it."""

    def verify() -> None:
        for record in records:
            slabs.verify(plan.partial / "store", "velocity", record["slabs"][comm.rank])

    def complete() -> None:
        slabs.finalise(
            plan.partial / "store",
            plan.dataset,
            seed=plan.seed,
            config_digest=config_digest(plan.dataset),
            source_digest=plan.source,
            velocity=[slab for record in records for slab in record["slabs"]],
            tables={
                "diagnostics": flow_summary.series(records),
                "spectrum": np.array([record["spectrum"] for record in records]),
            },
            notes=flow_summary.accuracy(plan.dataset, records),
        )
        folder.put_in_place(plan)

    # In this order, so that no store is complete before every rank has read its slabs back.
    mpi.collectively(comm, verify)
    mpi.collectively(comm, _on_root, comm, complete)


def words(job: Job, dataset: Mapping[str, Any], store: Path, ranks: int) -> list[str]:
    """Return the words of the command line that `main` reads, but for the program's."""
    arguments = {
        "ranks": ranks,
        "dataset": json.dumps(dataset),
        "name": job.name,
        "seed": job.seed,
        "store": store,
        "record": job.record,
        "source": job.source,
    }
    return [f"--{key}={value}" for key, value in arguments.items()]


def main() -> int:
    """Run the stage as the command line says; return the exit status."""
    terminal.tolerate()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, required=True, help="number of ranks started")
    parser.add_argument("--dataset", required=True, help="configuration as JSON")
    parser.add_argument("--name", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--source", required=True, help="digest of the source")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for a lock")
    arguments = parser.parse_args()
    dataset = Trajectory.model_validate_json(arguments.dataset)
    plan = Plan(dataset, arguments.seed, arguments.source, arguments.store.absolute())
    job = Job("generate", arguments.name, arguments.seed, arguments.source, arguments.record)
    rank, comm = 0, None
    try:
        comm = mpi.world(arguments.ranks)
        rank = comm.rank
        if dataset.ranks != comm.size:
            raise PipelineError(
                f"datasets.{arguments.name}.ranks: expected {comm.size} as started,"
                f" got {dataset.ranks}"
            )
        limit = time_limit.of_this_job() if rank == 0 else None
        run(comm, plan, job, patience_s=arguments.patience, limit=limit)
    except PipelineError as error:
        # Every rank fails alike; one says why.
        if rank == 0:
            mpi.tell(error)
        return 1
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        if comm is not None:
            # The others wait for this rank, for ever.
            comm.Abort(1)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
