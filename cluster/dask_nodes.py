"""The other nodes of an allocation as workers of the Dask that the driver has started."""

import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dask
from distributed import Client, Security

from cluster.allocation import Allocation, await_nodes, running_on

_JOIN_S = 300.0


@contextmanager
def joined(
    allocation: Allocation, num_workers: Sequence[int], memory_limit: int, connected: Client
) -> Iterator[None]:
    """Have workers on the other nodes join the scheduler of `connected`: `num_workers` of each.

    Raises:
        ClusterError: those of a node did not join; its last words are quoted.
    """
    # With fewer workers than nodes some nodes have none to start.
    count_of = {n: count for n, count in zip(allocation.others, num_workers, strict=True) if count}
    address, environment = connected.scheduler.address, _environment(connected.security)

    def arrived() -> set[str]:
        names = {worker["name"] for worker in connected.scheduler_info()["workers"].values()}
        return {node for node, count in count_of.items() if _names(node, count) <= names}

    with ExitStack() as stack:
        processes, logs = {}, {}
        for node, count in count_of.items():
            scratch = Path(tempfile.gettempdir(), f"dask-{allocation.job}-{secrets.token_hex(4)}")
            # A file without a name: nothing of it is left, however this process ends.
            log = stack.enter_context(tempfile.TemporaryFile())
            logs[node] = Path(f"/proc/self/fd/{log.fileno()}")
            command = _command(address, node, count, memory_limit, scratch)
            processes[node] = stack.enter_context(
                running_on(allocation, node, command, logs[node], scratch, environment)
            )
        await_nodes(processes, logs, arrived, "Dask", _JOIN_S)
        hosts = Counter(w["host"] for w in connected.scheduler_info()["workers"].values())
        places = ", ".join(f"{count} on {host}" for host, count in sorted(hosts.items()))
        print(f"Dask: {hosts.total()} workers: {places}", flush=True)
        yield


def _command(
    scheduler: str, node: str, num_workers: int, memory_limit: int, scratch: Path
) -> list[str]:
    """Return the command that runs workers, each with one thread, on the machine it runs on."""
    options = {
        "name": node,
        "nworkers": num_workers,
        "nthreads": 1,
        "memory-limit": memory_limit,
        "local-directory": scratch,
        "death-timeout": _JOIN_S,
    }
    flags = [f"--{key}={value}" for key, value in options.items()]
    return [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        scheduler,
        "--no-dashboard",
        *flags,
    ]


def _names(node: str, num_workers: int) -> set[str]:
    """Return the names that `dask worker` makes of the one it is given."""
    return {f"{node}-{index}" for index in range(num_workers)} if num_workers > 1 else {node}


def _environment(security: Security) -> dict[str, str]:
    """Return the variable that hands this process's Dask settings and the key on."""
    settings = {
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls": {
            "ca-file": security.tls_ca_file,
            "worker": {"cert": security.tls_worker_cert, "key": security.tls_worker_key},
        },
        # What a node says is quoted only if it does not join.
        "logging": {"distributed": "warning"},
    }
    with dask.config.set(settings):
        inherited = dask.config.serialize(dask.config.global_config)
    return {"DASK_INTERNAL_INHERIT_CONFIG": inherited}
