"""A Ray cluster of several nodes on this machine whose nodes come and go.

Run as a script it is the process that holds the nodes: it prints the address, then obeys the lines
"add" and "kill" (SIGKILL for all of the node added last) and answers each with its own line.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


class Nodes:
    """A running cluster of a head and as many nodes as were added, one CPU each."""

    def __init__(self, process: subprocess.Popen, log: Path) -> None:
        self._process, self._log = process, log
        self.address = self._answer()

    def add(self) -> None:
        """Start a node and wait until the cluster knows it."""
        self._order("add")

    def kill(self) -> None:
        """Kill all processes of the node added last."""
        self._order("kill")

    def _order(self, word: str) -> None:
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        assert self._answer() == word

    def _answer(self) -> str:
        line = self._process.stdout.readline().strip()
        assert line, self._log.read_text()
        return line


@contextmanager
def ray_nodes() -> Iterator[Nodes]:
    """Yield a cluster of one node, its head; no process of it is left at the end."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # its sockets need a short path
    log = folder / "nodes.log"
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log.open("w"),
        text=True,
        env=os.environ | ENVIRONMENT | {"RAY_TMPDIR": str(folder)},
    )
    try:
        yield Nodes(process, log)
    finally:
        left = _descendants(process)
        process.stdin.close()
        try:
            process.wait(timeout=60)
        finally:
            for one in left:
                with contextlib.suppress(psutil.Error):
                    one.kill()
            shutil.rmtree(folder, ignore_errors=True)


def _descendants(process: subprocess.Popen) -> list[psutil.Process]:
    """Return `process` and what it started, as far as it is still there."""
    with contextlib.suppress(psutil.Error):
        holder = psutil.Process(process.pid)
        return [holder, *holder.children(recursive=True)]
    return []


# Loopback instead of the first public interface; 2.60 names the switch after other systems.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def main() -> None:
    """Hold the nodes until standard input ends."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    print(cluster.address, flush=True)
    nodes, added = [], 1
    for line in sys.stdin:
        if line.strip() == "add":
            # An address of its own: a driver joins the node that has its address.
            added += 1
            nodes.append(cluster.add_node(num_cpus=1, node_ip_address=f"127.0.0.{added}"))
        else:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        print(line.strip(), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
