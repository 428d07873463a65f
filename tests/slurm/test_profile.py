"""`snakemake --profile slurm` on a real SLURM without job accounting."""

import os
import signal
import subprocess

import pytest
from harness import Checkout
from jobs import assert_nothing_left, jobs_of
from virtual_cluster import environment, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

# Job, CPUs, memory and wall time: what the rules and the profile say together.
EXPECTED = {
    ("generate_wildcards_waves", "2", "8000M", "01:00:00"),
    ("simulate_wildcards_vortex", "2", "3000M", "01:00:00"),
    ("train_wildcards_waves_fno", "2", "8000M", "04:00:00"),
    ("train_wildcards_ball_sdgd", "2", "8000M", "04:00:00"),
    ("search_wildcards_packing_d8", "1", "3000M", "02:00:00"),
    ("certify_wildcards_packing_d8", "1", "1000M", "02:00:00"),
    ("aggregate", "1", "1500M", "00:20:00"),
}


def submit(slurm, checkout, *arguments: str):
    command = checkout.command("--profile", "slurm", *arguments)
    return slurm.run(
        *command, cwd=checkout.root, env=checkout.environment, check=False, timeout_s=600
    )


@pytest.fixture(scope="module")
def submitted(slurm, tmp_path_factory):
    """A checkout in which the smoke experiment has run as jobs; the jobs' records."""
    checkout = Checkout.copy_to(tmp_path_factory.mktemp("submitted"))
    done = submit(slurm, checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout, jobs_of(slurm, checkout)


def test_every_rule_becomes_a_job_with_its_resources(submitted):
    _, jobs = submitted
    seen = [
        (x["Comment"].removeprefix("rule_"), x["NumCPUs"], x["MinMemoryNode"], x["TimeLimit"])
        for x in jobs
    ]
    assert sorted(seen) == sorted(EXPECTED)
    assert {x["JobState"] for x in jobs} == {"COMPLETED"}
    assert {x["Partition"] for x in jobs} == {"main"}


def test_logs_are_where_a_user_looks(submitted):
    checkout, jobs = submitted
    logs = {path.stem: path for path in (checkout.root / "logs/slurm").rglob("*.log")}
    assert logs.keys() == {x["JobId"] for x in jobs}
    rules = {path.relative_to(checkout.root / "logs/slurm").parts[0] for path in logs.values()}
    assert rules == {f"rule_{x.split('_')[0]}" for x, *_ in EXPECTED}
    assert all("1 of 1 steps (100%) done" in path.read_text() for path in logs.values())


def test_the_site_keeps_no_accounting(slurm):
    done = slurm.run("sacct", check=False)
    assert done.returncode != 0 and "accounting storage is disabled" in done.stderr


def test_the_numbers_are_those_of_a_local_run(submitted, finished):
    assert submitted[0].numbers() == finished.numbers()


def test_a_second_run_submits_nothing(slurm, submitted):
    checkout, jobs = submitted
    done = submit(slurm, checkout)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr
    assert len(jobs_of(slurm, checkout)) == len(jobs)


def test_a_job_killed_for_its_memory_is_retried_with_more(slurm, tmp_path):
    checkout = Checkout.copy_to(tmp_path)
    checkout.ask_for("search", mem_mb="150 * attempt ** 5")
    done = submit(slurm, checkout, "--retries=2", "results/smoke/search/packing_d8/candidate.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning: search (attempt 3): resources: expected at most what" in done.stderr
    first, second = jobs_of(slurm, checkout)
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("150M", "4800M")
    assert first["JobState"] != "COMPLETED" and second["JobState"] == "COMPLETED"
    log = tmp_path / f"logs/slurm/rule_search/packing_d8/{first['JobId']}.log"
    assert "memory limit" in log.read_text()


def test_ctrl_c_leaves_no_job_and_no_process_behind(slurm, tmp_path):
    checkout = Checkout.copy_to(tmp_path)
    process = subprocess.Popen(
        slurm.command(*checkout.command("--profile", "slurm"), cwd=checkout.root),
        env=environment(checkout.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    # A training job that trains: its workers are processes of their own.
    started = tmp_path / "logs/smoke/train/ball_sdgd.log"
    # Its log has more than the line that begins it.
    wait_until(
        lambda: started.exists() and started.read_text().count("\n") > 1, "a training job", 300
    )
    assert any(job["JobState"] == "RUNNING" for job in jobs_of(slurm, checkout))
    assert any(node.processes() for node in slurm.nodes.values())
    # As a terminal does: to the whole group.
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    assert_nothing_left(slurm)
    assert "CANCELLED" in {job["JobState"] for job in jobs_of(slurm, checkout)}
