"""One Ray over the two nodes of a job: where it runs, what it computes, what it leaves behind."""

import subprocess
import sys
from pathlib import Path

import pytest
from harness import SMOKE, Checkout
from jobs import assert_nothing_left, jobs_of, running, said, start
from virtual_cluster import environment, wait_until

from pipeline.runtime import ours

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

TWO_NODES = ("nodes=2", "tasks=2", "cpus_per_task=1", "mem_mb=3000")
SETTINGS = ("--set-resources", *(f"train:{x}" for x in TWO_NODES), "--")
RUNS = ("ball_sdgd", "waves_fno")
# Long enough to be disturbed.
LONG = """
name: long
runs:
  ball_sdgd: {train: {num_steps: 4000, evaluate_every: 500, checkpoint_every: 100}}
"""
ELASTIC = "{name: long, runs: {ball_sdgd: {train: {num_workers: [1, 2]}}}}"
TARGET = "results/long/train/ball_sdgd/run.json"


@pytest.fixture(scope="module")
def trained(slurm, tmp_path_factory):
    """A checkout in which two runs have trained at a time, each over both nodes; its workers."""
    checkout = Checkout.copy_to(tmp_path_factory.mktemp("nodes"))
    process = start(
        slurm, checkout, *SETTINGS, *(f"results/smoke/train/{x}/run.json" for x in RUNS)
    )
    seen = set()

    def over() -> bool:
        seen.update(running(slurm, "RayTrainWorker"))
        return process.poll() is not None

    wait_until(over, "the end of both runs", 300)
    assert process.returncode == 0, said(checkout)
    return checkout, seen


def test_each_job_has_two_nodes_and_a_worker_on_each(slurm, trained):
    checkout, seen = trained
    shapes = [
        (x["JobState"], x["NumNodes"], x["NumCPUs"]) for x in jobs_of(slurm, checkout, "train")
    ]
    assert shapes == [("COMPLETED", "2", "2")] * 2
    assert seen == {"n1", "n2"}


def test_the_numbers_are_those_of_a_single_node(trained, finished):
    ours = {key: x for key, x in trained[0].numbers().items() if "/train/" in key}
    assert len(ours) == 2
    assert ours.items() <= finished.numbers().items()


def test_a_user_is_told_where_the_dashboard_is(trained):
    for name in RUNS:
        lines = (trained[0].root / f"logs/smoke/train/{name}.log").read_text().splitlines()
        assert lines.pop(0) == ours.LOG_LINE
        assert lines[0].startswith("Ray nodes:     waiting for n")
        assert lines[1].startswith("Ray dashboard: http://127.0.0.1:")
        assert "ssh -N -L " in lines[2] and "-J login n" in lines[2]
        assert lines[3].count("http://10.77.0.1") == 2


def test_nothing_is_left(slurm, trained):
    assert_nothing_left(slurm)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The numbers of the long run on this machine, undisturbed."""
    checkout = Checkout.copy_to(tmp_path_factory.mktemp("straight"))
    (checkout.root / "long.yaml").write_text(LONG)
    done = checkout.snakemake(TARGET, files=(SMOKE, "long.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout.numbers()


def test_the_head_of_ray_is_killed(slurm, straight, tmp_path):
    checkout = Checkout.copy_to(tmp_path)
    (tmp_path / "long.yaml").write_text(LONG)
    process = start(slurm, checkout, *SETTINGS, TARGET, files=(SMOKE, "long.yaml"))
    state = tmp_path / "results/long/state/train/ball_sdgd"
    wait_until(lambda: next(state.glob("*/snapshot.pt"), None), "a snapshot", 180)
    ((head,),) = running(slurm, "gcs_server").values()
    head.kill()
    assert process.wait(300) == 0, said(checkout)
    assert [x["JobState"] for x in jobs_of(slurm, checkout, "train")] == ["FAILED", "COMPLETED"]
    assert checkout.numbers() == straight
    assert_nothing_left(slurm)


def test_training_goes_on_without_a_lost_node(slurm, straight, tmp_path, repaired):
    checkout = Checkout.copy_to(tmp_path)
    (tmp_path / "long.yaml").write_text(LONG)
    (tmp_path / "elastic.yaml").write_text(ELASTIC)
    extra = [*SETTINGS[:-1], "train:slurm_extra=--no-kill", "--"]
    files = (SMOKE, "long.yaml", "elastic.yaml")
    process = start(slurm, checkout, *extra, TARGET, files=files)
    state = tmp_path / "results/long/state/train/ball_sdgd"
    wait_until(lambda: next(state.glob("*/snapshot.pt"), None), "a snapshot", 180)
    (job,) = jobs_of(slurm, checkout, "train")
    (lost,) = {"n1", "n2"} - {job["BatchHost"]}
    slurm.kill_node(lost)
    assert process.wait(300) == 0, said(checkout)
    (job,) = jobs_of(slurm, checkout, "train")
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "0")
    ours, theirs = checkout.numbers(), straight
    (table,) = ours
    assert ours[table]["step"] == theirs[table]["step"]
    # One worker adds the same numbers in another order.
    assert ours[table]["value"] == pytest.approx(theirs[table]["value"], rel=1e-3)
    assert_nothing_left(slurm)


SESSION = """
import sys
from cluster.ray_cluster import session
with session(2, address=sys.argv[1]) as found:
    print("at", found.address, found.folder.parents[1], *found.metrics_urls, flush=True)
    sys.stdin.read()
"""
READ = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=10).read().decode())"


def test_a_killed_driver_takes_all_nodes_with_it_and_auto_finds_a_running_ray(slurm, tmp_path):
    checkout = Checkout.copy_to(tmp_path)

    def inside(*command: str) -> subprocess.Popen:
        return subprocess.Popen(
            slurm.command(*command, cwd=tmp_path),
            # A token that others can read, left there by another Ray, would not be used.
            env=environment(checkout.environment | {"HOME": str(tmp_path)}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    # An allocation that outlives the driver: what ends is not ended by SLURM.
    size = ("--nodes=2", "--ntasks=2", "--mem=4000")
    holder = inside("salloc", "--quiet", "--kill-command", *size, "sleep", "900")
    ids = ("squeue", "--noheader", "--states=RUNNING", "--format=%i")
    job = wait_until(lambda: slurm.run(*ids).stdout.strip(), "the allocation")
    step = ("srun", f"--jobid={job}", "--nodelist=n1", "--nodes=1", "--ntasks=1", "--overlap")
    driver = inside(*step, "--mem=0", sys.executable, "-c", SESSION, "")
    try:
        place = next(x for x in driver.stdout if x.startswith("at "))
        _, address, folder, *urls = place.split()
        assert address.startswith("10.77.0.11:")
        assert Path(f"{folder}-1").is_dir()
        assert running(slurm, "raylet/raylet").keys() == {"n1", "n2"}
        assert len(urls) == 2
        for url in urls:
            read = (sys.executable, "-c", READ, url)
            wait_until(lambda read=read: "ray_node" in slurm.run(*read, check=False).stdout, url)
        guest = inside(*step, "--mem=0", sys.executable, "-c", SESSION, "auto")
        assert next(x for x in guest.stdout if x.startswith("at ")).split()[1] == address
        guest.communicate(timeout=60)
        (found,) = running(slurm, "cluster.ray_cluster")["n1"]
        found.kill()
        driver.communicate(timeout=60)
        wait_until(
            lambda: not any(node.processes() for node in slurm.nodes.values()), "the end of Ray"
        )
        assert slurm.run(*ids).stdout.strip() == job
        assert not Path(folder).exists() and not Path(f"{folder}-1").exists()
    finally:
        slurm.run("scancel", job)
        holder.communicate(timeout=60)
    assert_nothing_left(slurm)
