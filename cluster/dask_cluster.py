"""A Dask client behind one function: a local cluster, or a scheduler that is already running."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import dask
from distributed import Client, LocalCluster
from distributed.system import MEMORY_LIMIT

# Of all memory, what the workers may use together; the rest is for the driver and the system.
_MEMORY_SHARE = 0.75
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def client(num_workers: int) -> Iterator[Client]:
    """Yield a client of `num_workers` processes with one thread each; close all of it on exit.

    With DASK_SCHEDULER_ADDRESS in the environment, connects to that scheduler instead and leaves
    its workers alone. Local workers share three quarters of the machine's memory and listen on
    127.0.0.1 only; there is no dashboard. A worker that dies is replaced and its task run again,
    at most three times; the workers of a killed driver end by themselves.
    """
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    settings = {
        "distributed.scheduler.allowed-failures": 3,
        # A slow solver is not a dead worker.
        "distributed.scheduler.worker-ttl": None,
        "distributed.worker.memory.pause": False,
        "distributed.comm.timeouts.connect": "60s",
        # Dask's own choice also sets MALLOC_TRIM_THRESHOLD_=65536, which makes every temporary
        # array of a time step a system call: the Burgers solver ran 1.5 to 3 times slower.
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(_THREAD_VARIABLES, "1"),
    }
    with dask.config.set(settings):
        if address:
            with Client(address) as connected:
                yield connected
            return
        with (
            _detached_main(),
            LocalCluster(
                n_workers=num_workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                memory_limit=int(_MEMORY_SHARE * MEMORY_LIMIT / num_workers),
                silence_logs=logging.ERROR,
            ) as cluster,
            Client(cluster) as connected,
        ):
            yield connected


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
