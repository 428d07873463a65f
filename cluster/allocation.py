"""The nodes of this SLURM job, and commands that run on the others for as long as this one needs.

Ray and Dask start on the node of the driver as they do on a laptop; `session` and `client` then
have the job's other nodes join. A command on another node ends with the `with` block, and also if
this process is killed: see `cluster.on_node`.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cluster import slurm_site
from pipeline.errors import ClusterError

_END_S = 30.0
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Allocation:
    """A job of two nodes or more: its number, the other nodes, and this node's address there."""

    job: str
    others: tuple[str, ...]
    address: str

    @property
    def num_nodes(self) -> int:
        """Return the number of nodes, this one included."""
        return 1 + len(self.others)

    def share(self, total: int) -> int:
        """Return what each node has to offer for the job to have `total`."""
        # Rounded up: CPUs to spare do no harm, one too few keeps a worker waiting for ever.
        return -(-total // self.num_nodes)


def current() -> Allocation | None:
    """Return the allocation that this process runs in; None outside of one or on a single node.

    Snakemake leaves of SLURM's variables little more than the job's number, so the controller is
    asked for the nodes. Where it does not answer, say in a container without SLURM's commands,
    that is printed and this node is all there is.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return None
    try:
        (record,) = slurm_site.parse_records(
            slurm_site.ask("scontrol", "show", "job", job, "--oneliner")
        )
        nodes = slurm_site.ask("scontrol", "show", "hostnames", record["NodeList"]).split()
        here = os.environ.get("SLURMD_NODENAME") or socket.gethostname().partition(".")[0]
        # The shell of `salloc` stays on the login node: what starts there is local.
        if here not in nodes or len(nodes) == 1:
            return None
        others = tuple(node for node in nodes if node != here)
        return Allocation(job, others, _address_towards(others[0]))
    except ClusterError as error:
        print(f"nodes of job {job}: unknown, {error}; this one alone is used", flush=True)
        return None


def _address_towards(node: str) -> str:
    """Return the address of this machine on the network that leads to `node`.

    The machine's own name may mean the loopback interface, and it may have several networks.
    """
    (record,) = slurm_site.parse_records(
        slurm_site.ask("scontrol", "show", "node", node, "--oneliner")
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((record.get("NodeAddr", node), 9))  # sends nothing
        except OSError as error:
            raise ClusterError(f"no address of {node}: {error.strerror}") from None
        return str(probe.getsockname()[0])


@contextmanager
def running_on(
    allocation: Allocation,
    node: str,
    command: Sequence[str],
    log: Path,
    scratch: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` on another node during the block; yield the process that stands for it.

    Its output goes to `log`. `scratch`, if given, is a folder made on that node before the command
    starts and removed after it has ended; `environment` is added to this process's.
    """
    keep = [f"--scratch={scratch}"] if scratch else []
    # One step for each node: the loss of one node must not end the command on another. A step
    # shares CPUs and memory with the driver's own, which holds all of the job's.
    step = ["srun", f"--jobid={allocation.job}", f"--nodelist={node}", "--nodes=1", "--ntasks=1"]
    step += ["--overlap", "--mem=0", "--cpu-bind=none", "--quiet"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*step, sys.executable, "-m", "cluster.on_node", *keep, *command],
            # The step's geometry would otherwise be taken from that of the driver's step.
            env=slurm_site.without_slurm_variables() | dict(environment or {}),
            # `srun` hands its input on: on_node ends when it closes.
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C ends the driver, which then ends this in order
        )
    assert process.stdin is not None
    try:
        yield process
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:  # the node is gone, or deaf
            process.kill()
            process.wait()


def await_nodes(
    processes: Mapping[str, subprocess.Popen[bytes]],
    logs: Mapping[str, Path],
    arrived: Callable[[], Collection[str]],
    what: str,
    timeout_s: float,
) -> None:
    """Return when all nodes of `processes` (see `running_on`) are among those that `arrived()`.

    Raises:
        ClusterError: the command of a node ended or took too long; its last words are quoted.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        here = arrived()
        missing = [node for node in processes if node not in here]
        if not missing:
            return
        for node in missing:
            if processes[node].poll() is not None or time.monotonic() > deadline:
                raise ClusterError(
                    f"node {node}: expected {what} to join within {timeout_s:.0f} s, got:"
                    f" {_last_words(logs[node].read_bytes())}; run the job again, or on one node"
                )
        time.sleep(_LOOK_EVERY_S)


def _last_words(said: bytes) -> str:
    """Return the last line of what a command said; what `srun` adds to it names no cause."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines()]
    words = [line for line in lines if line and not line.startswith("srun: ")] or lines
    return words[-1] if words else "no word"
