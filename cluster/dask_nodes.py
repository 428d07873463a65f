"""Dask workers on the other nodes of a SLURM job: one step a node, tied to this process."""

import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import IO

import dask
from distributed import Client, Security

from cluster import allocation
from cluster.allocation import Allocation
from pipeline.errors import ClusterError

# A cold file system and a busy node: importing Dask alone may take a minute.
_JOIN_S = 300.0
_POLL_S = 0.1


@dataclass(frozen=True)
class _Step:
    """The step that runs workers on a node: the `srun` that stands for it, and what it said."""

    node: str
    num_workers: int
    process: "Popen[bytes]"
    log: IO[bytes]

    @property
    def names(self) -> set[str]:
        """Return the names of its workers, as `dask worker` makes them from `--name`."""
        if self.num_workers == 1:
            return {self.node}
        return {f"{self.node}-{index}" for index in range(self.num_workers)}


@dataclass(frozen=True)
class Nodes:
    """What workers on the other nodes of `job` need to join the scheduler: its address and key."""

    job: Allocation
    scheduler: str
    memory_limit: int
    security: Security

    @contextmanager
    def joining(self, num_workers: Sequence[int], connected: Client) -> Iterator[None]:
        """Run `num_workers` on each other node during the block, which begins when all are there.

        Raises:
            ClusterError: those of a node ended or did not come in time.
        """
        environment = self._environment()
        with ExitStack() as stack:
            steps = [
                stack.enter_context(self._step(node, count, environment))
                for node, count in zip(self.job.others, num_workers, strict=True)
                if count
            ]
            _await(steps, connected)
            yield

    @contextmanager
    def _step(self, node: str, num_workers: int, environment: dict[str, str]) -> Iterator[_Step]:
        scratch = Path(tempfile.gettempdir(), f"dask-{self.job.job}-{secrets.token_hex(4)}")
        options = {
            "name": node,
            "nworkers": num_workers,
            "nthreads": 1,
            "memory-limit": self.memory_limit,
            "local-directory": scratch,
            "death-timeout": _JOIN_S,
        }
        command = [sys.executable, "-m", "distributed.cli.dask_worker", self.scheduler]
        command += ["--no-dashboard", *(f"--{key}={value}" for key, value in options.items())]
        # A file without a name: nothing of it is left, however this process ends.
        with tempfile.TemporaryFile() as log:
            path = Path(f"/proc/self/fd/{log.fileno()}")
            with allocation.running_on(
                self.job, node, command, path, scratch, environment
            ) as process:
                yield _Step(node, num_workers, process, log)

    def _environment(self) -> dict[str, str]:
        """Return the variable that hands this process's Dask settings and the key on."""
        tls = {
            "ca-file": self.security.tls_ca_file,
            "worker": {"cert": self.security.tls_worker_cert, "key": self.security.tls_worker_key},
        }
        settings = {
            "distributed.comm.tls": tls,
            "distributed.comm.require-encryption": True,
            "logging": {"distributed": "warning"},
        }
        with dask.config.set(settings):
            inherited = dask.config.serialize(dask.config.global_config)
        return {"DASK_INTERNAL_INHERIT_CONFIG": inherited}


def _await(steps: list[_Step], connected: Client) -> None:
    deadline = time.monotonic() + _JOIN_S
    while True:
        workers = connected.scheduler_info()["workers"].values()
        present = {str(worker["name"]) for worker in workers}
        missing = [step for step in steps if not step.names <= present]
        if not missing:
            break
        late = time.monotonic() > deadline
        for step in missing:
            if late or step.process.poll() is not None:
                step.log.seek(0)
                raise ClusterError(
                    f"node {step.node}: expected {step.num_workers} Dask workers to join within"
                    f" {_JOIN_S:.0f} s, got {len(step.names & present)}:"
                    f" {allocation.last_words(step.log.read())}; run the job again, or on one node"
                )
        time.sleep(_POLL_S)
    places = Counter(worker["host"] for worker in workers)
    counts = ", ".join(f"{count} on {host}" for host, count in sorted(places.items()))
    print(f"Dask: {len(workers)} workers: {counts}", flush=True)
