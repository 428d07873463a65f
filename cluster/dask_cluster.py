"""A Dask client behind one function: on this machine, on all nodes of a SLURM job, or a given one.

In a job of several nodes the scheduler and one share of the workers start here, and each other
node joins by a step of the same job (`cluster.dask_nodes`). dask-jobqueue would submit jobs of its
own, which Snakemake neither counts, cancels nor retries, and which wait in the queue once more;
this way one job of the workflow is one SLURM job, with its resources, its log and its end.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import dask
from distributed import Client, LocalCluster, Security

from cluster import allocation, dask_nodes, memory, ray_reaper
from pipeline.errors import ClusterError
from pipeline.runtime import private

# Of all memory, what the workers of a node may use together; the rest is for the driver, for
# Snakemake, which runs twice in a SLURM job, and for the system.
_MEMORY_SHARE = 0.75
_RESERVED = 512 * 2**20
# A worker that has imported the solvers has 100 MB.
_LEAST_MEMORY = 200 * 2**20
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# The topic under which Dask's nanny tells the scheduler of a worker that it ends.
_OVER_MEMORY = "worker-restart-memory"


@contextmanager
def client(num_workers: int) -> Iterator[Client]:
    """Yield a client of `num_workers` processes with one thread each; close all of it on exit.

    With DASK_SCHEDULER_ADDRESS in the environment, connects to that scheduler instead and leaves
    its workers alone. In a SLURM job of several nodes the workers are divided among them. There is
    no dashboard, and connections need a key that is made for this call.

    The workers of a node share three quarters of the job's memory there, or of the machine's. One
    that exceeds its part is replaced, which is printed; its task, like that of any worker that
    dies, is run again, at most three times. The workers of a killed driver end by themselves.

    Raises:
        ClusterError: the job has too little memory for so many workers, or those of a node did
            not start.
    """
    settings = {
        "distributed.scheduler.allowed-failures": 3,
        # A slow solver is not a dead worker.
        "distributed.scheduler.worker-ttl": None,
        # Dask would give a full worker nothing more to do; here it is ended and replaced instead.
        "distributed.worker.memory.pause": False,
        "distributed.comm.timeouts.connect": "60s",
        "distributed.nanny.pre-spawn-environ": {
            **dict.fromkeys(_THREAD_VARIABLES, "1"),
            # Dask's own value, 65536, makes every temporary array of a time step a system call:
            # the Burgers solver ran 1.5 to 3 times slower. None removes it on other nodes too,
            # which merge these settings with Dask's.
            "MALLOC_TRIM_THRESHOLD_": None,
        },
    }
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        if address:
            yield stack.enter_context(Client(address))
            return
        job = allocation.current()
        here, *elsewhere = split(num_workers, job.num_nodes if job else 1)
        memory_limit = worker_memory(memory.limit(), here)
        # Not Dask's own choice, a folder of the same name for all users of a machine.
        scratch = stack.enter_context(private.scratch("dask-"))
        stack.enter_context(_detached_main())
        cluster = stack.enter_context(
            LocalCluster(
                n_workers=here,
                threads_per_worker=1,
                processes=True,
                host=job.address if job else "127.0.0.1",
                dashboard_address=None,
                memory_limit=memory_limit,
                silence_logs=logging.ERROR,
                local_directory=str(scratch),
                security=Security.temporary(),
            )
        )
        stack.enter_context(ray_reaper.guard(scratch))
        connected = stack.enter_context(Client(cluster))
        connected.subscribe_topic(_OVER_MEMORY, partial(_tell_of_restart, memory_limit))
        if job:
            stack.enter_context(dask_nodes.joined(job, elsewhere, memory_limit, connected))
        yield connected


def split(total: int, num_nodes: int) -> list[int]:
    """Return how many of `total` workers each node gets, the first nodes one more if need be."""
    return [total // num_nodes + (node < total % num_nodes) for node in range(num_nodes)]


def worker_memory(total: int, num_workers: int) -> int:
    """Return the memory limit (bytes) of each of `num_workers` on a node with `total` for the job.

    Raises:
        ClusterError: it is too little to work with.
    """
    # On small nodes the driver's part is what counts, on large ones the share.
    limit = int(min(_MEMORY_SHARE * total, total - _RESERVED) / num_workers)
    if limit < _LEAST_MEMORY:
        least = _RESERVED + num_workers * _LEAST_MEMORY
        raise ClusterError(
            f"Dask: expected at least {_megabytes(least)} on a node for {num_workers} workers and"
            f" their driver, got {_megabytes(total)}; use fewer workers (threads) or more memory"
            " (mem_mb on SLURM)"
        )
    return limit


def num_over_memory(connected: Client) -> int:
    """Return how many workers were replaced so far because they exceeded their memory."""
    return len(connected.get_events(_OVER_MEMORY))


def _tell_of_restart(limit: int, event: tuple[float, dict[str, Any]]) -> None:
    _, said = event
    host = said["worker"].split("://")[-1].rsplit(":", 1)[0]
    # Dask ends a worker at 95% of its limit.
    print(
        f"Dask: a worker on {host} reached {_megabytes(said['rss'])} of its {_megabytes(limit)}:"
        " it is replaced and its task run again",
        flush=True,
    )


def _megabytes(count: float) -> str:
    return f"{count / 2**20:.0f} MB"


@contextmanager
def _detached_main() -> Iterator[None]:
    """Keep spawned workers from running the main script again.

    `multiprocessing` re-imports the main module in every child, which for a workflow script
    without a `__name__` guard means starting the stage again inside its own workers.
    """
    main = sys.modules["__main__"]
    missing = object()
    file, spec = getattr(main, "__file__", missing), main.__spec__
    if file is not missing:
        del main.__file__
    main.__spec__ = None
    try:
        yield
    finally:
        main.__spec__ = spec
        if file is not missing:
            main.__file__ = file  # type: ignore[assignment]
