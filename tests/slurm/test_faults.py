"""Faults of jobs on a real SLURM: each ends with the numbers of an undisturbed run."""

import re

import psutil
import pytest
from harness import Checkout
from snakemake_executor_plugin_slurm import ExecutorSettings
from submitted import FAULTS, TRAINED, Submitted, result

from cluster.slurm_site import minutes

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

# After so many failed questions the SLURM executor of Snakemake would forget its jobs.
DEFAULT_ATTEMPTS = ExecutorSettings().status_attempts


@pytest.fixture(scope="module")
def expected(slurm, tmp_path_factory):
    """The results of an undisturbed run, which needs no SLURM."""
    checkout = Checkout.copy_to(tmp_path_factory.mktemp("undisturbed"))
    done = checkout.snakemake(TRAINED, files=(FAULTS,))
    assert done.returncode == 0, done.stdout + done.stderr
    return result(checkout)


@pytest.fixture
def submit(slurm, tmp_path):
    """A function that starts a training job through Snakemake; nothing may stay behind it."""
    started = []

    def start(*arguments: str, **environment: str) -> Submitted:
        started.append(
            Submitted(slurm, Checkout.copy_to(tmp_path), TRAINED, *arguments, **environment)
        )
        return started[-1]

    yield start
    for run in started:
        run.close()


def assert_undisturbed(run: Submitted, expected) -> None:
    """Check what holds after every fault: complete, right, and nothing left."""
    assert result(run.checkout) == expected
    assert not list((run.checkout.root / "results/faults/state").rglob("*.*"))
    assert not run.cluster.run("squeue", "--noheader").stdout


def test_the_time_limit(submit, expected):
    run = submit("--set-resources", "train:runtime=2", "train:mem_mb=8000")
    run.wait_until(run.snapshots, "a snapshot")
    # As slow as a busy machine: the work cannot end before the limit.
    workers = run.workers()
    for worker in workers:
        worker.suspend()
    (job,) = run.jobs()
    left = ("squeue", "--noheader", f"--jobs={job['JobId']}", "--format=%L")
    run.wait_until(lambda: minutes(run.cluster.run(*left).stdout) < 0.5, "the limit to be near")
    for worker in workers:
        worker.resume()
    run.hurry()
    assert run.finish() == 0, run.output
    (again,) = run.jobs()
    assert (again["JobId"], again["Restarts"]) == (job["JobId"], "1")
    assert again["JobState"] == "COMPLETED"
    log = run.checkout.root / f"logs/slurm/rule_train/ball/{job['JobId']}.log"
    said = log.read_text()
    assert f"before the job's time limit; job {job['JobId']} goes back into the queue" in said
    assert "step 3000/3000" in said
    assert_undisturbed(run, expected)


def test_a_drained_node_that_dies(slurm, repaired, submit, expected):
    run = submit()
    run.wait_until(run.snapshots, "a snapshot")
    (job,) = run.jobs()
    node = job["NodeList"]
    slurm.run("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    slurm.kill_node(node)
    run.hurry()
    assert run.finish() == 0, run.output
    (again,) = run.jobs()
    assert (again["JobId"], again["Restarts"]) == (job["JobId"], "1")
    assert again["NodeList"] != node
    assert_undisturbed(run, expected)


def test_the_controller_ends_and_another_takes_over(
    slurm, submit, expected, monkeypatch, tmp_path_factory
):
    # `squeue` waits for an answer for this long: ten seconds, as a rule, and here two.
    impatient = tmp_path_factory.mktemp("impatient") / "slurm.conf"
    text = (slurm.run_folder / "etc/slurm.conf").read_text()
    impatient.write_text(re.sub(r"(?m)^MessageTimeout=.*$", "MessageTimeout=2", text))
    run = submit(SLURM_CONF=str(impatient))
    run.wait_until(run.snapshots, "a snapshot")
    slurm.kill_controller()
    asked = set()

    def in_vain() -> bool:
        asked.update(process.pid for process in slurm.login.find("squeue"))
        return len(asked) > DEFAULT_ATTEMPTS + 1

    try:
        run.wait_until(in_vain, "Snakemake to ask more often than it does by itself")
        # The job ends while nobody listens.
        run.wait_until((run.checkout.root / TRAINED).exists, "the results")
    finally:
        slurm.start_controller()
    assert run.finish() == 0, run.output
    (job,) = run.jobs()
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "0")
    assert_undisturbed(run, expected)


def test_a_killed_worker(submit, expected):
    run = submit()
    run.wait_until(run.snapshots, "a snapshot")
    run.workers()[-1].kill()
    assert run.finish() == 0, run.output
    (job,) = run.jobs()
    assert job["Restarts"] == "0"
    assert_undisturbed(run, expected)


def test_a_job_that_slurm_stops_and_queues_again(slurm, submit, expected):
    run = submit()
    run.wait_until(run.snapshots, "a snapshot")
    (job,) = run.jobs()
    # What preemption does, too: SIGTERM to all processes of the job, and back into the queue.
    slurm.run("scontrol", "requeue", job["JobId"])
    run.hurry()
    assert run.finish() == 0, run.output
    (again,) = run.jobs()
    assert (again["JobId"], again["Restarts"]) == (job["JobId"], "1")
    assert_undisturbed(run, expected)


def test_a_node_that_only_seems_dead(slurm, repaired, submit, expected):
    run = submit()
    run.wait_until(run.snapshots, "a snapshot")
    (job,) = run.jobs()
    node = job["NodeList"]
    workers = run.workers()
    for worker in workers:
        worker.suspend()
    # Its daemon ends, its job does not; SLURM starts the same job on the other node.
    for daemon in slurm.nodes[node].find("slurmd"):
        daemon.kill()
    run.hurry()
    lock = str(run.checkout.root / "results/faults/state/train/ball.lock")
    other = next(machine for name, machine in slurm.nodes.items() if name != node)
    run.wait_until(lambda: opened(lock, other.processes()), "the second writer at the lock")
    assert (run.checkout.root / lock).read_text().endswith(f"on {node}, job {job['JobId']}")
    for worker in workers:
        worker.resume()
    assert run.finish() == 0, run.output
    (again,) = run.jobs()
    assert (again["JobState"], again["Restarts"]) == ("COMPLETED", "1")
    assert_undisturbed(run, expected)


def opened(path: str, processes: list[psutil.Process]) -> bool:
    for process in processes:
        try:
            if any(file.path == path for file in process.open_files()):
                return True
        except psutil.Error:
            continue
    return False
