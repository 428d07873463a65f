"""The other nodes of an allocation as nodes of the Ray that the driver has started.

The head is a child of the driver, as on a laptop; each other node joins it by `ray start` in a job
step of its own, for as long as the driver lives. Ports are the system's choice and folders are the
session's own, so the jobs that share a node do not meet.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cluster import ray_token
from cluster.allocation import Allocation, await_nodes, running_on

# A cold file system and a busy node: importing Ray alone takes 5 to 60 seconds.
_JOIN_S = 300.0


@contextmanager
def joined(
    allocation: Allocation, folder: Path, num_cpus: int, object_store_memory: int
) -> Iterator[None]:
    """Have every other node of `allocation` join the running session, with `num_cpus` CPUs each.

    Call it after `ray.init`. GPUs are those that SLURM gave the job on that node.

    Raises:
        ClusterError: a node did not join; its last words are quoted.
    """
    import ray

    head = ray.get_runtime_context().gcs_address
    logs = {node: folder / f"{node}.log" for node in allocation.others}
    with ExitStack() as stack:
        processes = {}
        for index, (node, log) in enumerate(logs.items(), 1):
            # A node may share the driver's folder for temporary files, or have its own. Not named
            # after the node, whose name may be long: the paths of sockets are limited.
            scratch = folder.with_name(f"{folder.name}-{index}")
            command = _command(head, node, scratch, num_cpus, object_store_memory)
            processes[node] = stack.enter_context(
                running_on(allocation, node, command, log, scratch, ray_token.for_other_nodes())
            )
        print(f"Ray nodes:     waiting for {', '.join(processes)}", flush=True)
        await_nodes(
            processes,
            logs,
            lambda: {node["NodeName"] for node in ray.nodes() if node["Alive"]},
            "Ray",
            _JOIN_S,
        )
        yield


def _command(
    head: str, node: str, scratch: Path, num_cpus: int, object_store_memory: int
) -> list[str]:
    """Return the command that makes the machine it runs on a node of the Ray at `head`."""
    options = {
        "address": head,
        "node-name": node,
        "num-cpus": num_cpus,
        "object-store-memory": object_store_memory,
        "temp-dir": scratch / "r",  # Ray opens it to everybody: see `ray_cluster`
        # Ray's defaults are fixed numbers, which a second Ray on the node would find taken.
        "min-worker-port": 0,
        "max-worker-port": 0,
        "dashboard-agent-listen-port": 0,
    }
    flags = [f"--{key}={value}" for key, value in options.items()]
    return [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *flags]
