"""A Snakemake on the login node of the virtual cluster, and what its jobs are doing."""

import os
import signal
import subprocess
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import psutil
from harness import Checkout
from jobs import assert_nothing_left, jobs_of, running
from virtual_cluster import VirtualCluster, environment, wait_until

FAULTS = "tests/slurm/faults.yaml"
TRAINED = "results/faults/train/ball/run.json"
# The SLURM executor's pause between two looks at its jobs grows by ten seconds each time, to three
# minutes; here it stays at five seconds.
IMPATIENT = """
from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 5, lambda self, _: None)
main()
"""


class Submitted:
    """`snakemake --profile slurm` at work in `checkout`; ended, with its jobs, by `close`."""

    def __init__(
        self, cluster: VirtualCluster, checkout: Checkout, *arguments: str, **variables: str
    ) -> None:
        self.cluster, self.checkout = cluster, checkout
        python, _, _, *words = checkout.command(*arguments, "--profile", "slurm", files=(FAULTS,))
        self._output = (checkout.root / "snakemake.txt").open("a")
        self.process = subprocess.Popen(
            cluster.command(python, "-c", IMPATIENT, *words, cwd=checkout.root),
            env=environment(checkout.environment | variables),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        """Return what Snakemake has said."""
        return (self.checkout.root / "snakemake.txt").read_text()

    def jobs(self) -> list[dict[str, str]]:
        """Return the controller's records of the jobs of this checkout, oldest first."""
        return jobs_of(self.cluster, self.checkout)

    def workers(self) -> list[psutil.Process]:
        """Return the training processes on the nodes."""
        return self.processes("RayTrainWorker")

    def processes(self, word: str) -> list[psutil.Process]:
        """Return the processes of jobs whose command line holds `word`."""
        return list(chain(*running(self.cluster, word).values()))

    def snapshots(self) -> list[Path]:
        """Return the saved states of unfinished runs."""
        return list((self.checkout.root / "results/faults/state").rglob("snapshot.pt"))

    def wait_until(self, happened: Callable[[], object], what: str, timeout_s: float = 300) -> None:
        """Return as soon as `happened()`; fail if Snakemake ends before that."""

        def either() -> bool:
            ended = self.process.poll() is not None
            return bool(happened()) or ended

        wait_until(either, what, timeout_s)
        assert happened(), f"Snakemake ended before {what}: {self.output}"

    def hurry(self) -> None:
        """Let the requeued job start at once; SLURM would wait for two minutes."""
        job = self.jobs()[-1]["JobId"]
        self.wait_until(lambda: self.jobs()[-1]["JobState"] == "PENDING", "a job queued again")
        self.cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now")

    def finish(self, timeout_s: float = 400) -> int:
        """Return Snakemake's exit status."""
        return self.process.wait(timeout=timeout_s)

    def close(self) -> None:
        """End Snakemake as Ctrl-C does, and wait for the end of its jobs and their processes."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(timeout=120)
        self._output.close()
        assert_nothing_left(self.cluster)


def result(checkout: Checkout) -> tuple[dict[str, object], bytes]:
    """Return the numbers and the trained parameters of the run, to the last bit."""
    weights = checkout.root / "results/faults/train/ball/checkpoint/model.pt"
    return checkout.numbers(), weights.read_bytes()
