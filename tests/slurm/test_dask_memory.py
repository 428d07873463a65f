"""A shard that is too large for its Dask worker: told in one line, and retried with more memory."""

import re

import pytest
from harness import SMOKE, Checkout
from jobs import assert_nothing_left, jobs_of, said, start

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

MADE = "data/waves.run.json"
# 128 MB a shard, which become more than 350 while it is written; cheap to compute.
LARGE_SHARDS = """
datasets:
  waves:
    problem: {time_step: 5.0e-2, final_time: 0.2}
    grid: [4096]
    num_samples: 4000
    num_test: 2000
    samples_per_shard: 2000
    tolerance: 1.0
    dtype: float64
"""
FILES = (SMOKE, "large_shards.yaml")


def make_checkout(folder):
    checkout = Checkout.copy_to(folder)
    (folder / FILES[1]).write_text(LARGE_SHARDS)
    return checkout


def test_every_attempt_at_a_shard_exceeds_the_memory_of_a_worker(slurm, tmp_path_factory):
    checkout = make_checkout(tmp_path_factory.mktemp("memory"))
    checkout.ask_for("generate", mem_mb="950 * attempt ** 2")
    assert start(slurm, checkout, MADE, files=FILES).wait(timeout=600) == 0, said(checkout)

    first, second = jobs_of(slurm, checkout, "generate")
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("950M", "3800M")
    assert (first["JobState"], second["JobState"]) == ("FAILED", "COMPLETED")
    log = (checkout.root / f"logs/slurm/rule_generate/waves/{first['JobId']}.log").read_text()
    # Dask ended the workers, not SLURM the job: (950 - 512) / 2 = 219 MB for each.
    assert "memory limit" not in log
    assert log.count("Dask: a worker on 127.0.0.1 reached ") >= 4
    (error,) = (line for line in log.splitlines() if line.startswith("error: "))
    assert re.fullmatch(
        r"error: datasets\.waves: shard [01]: expected to need less than a worker's 219 MB, got"
        r" 4 workers that reached it; use fewer workers \(threads\), more memory \(mem_mb on"
        r" SLURM\) or a lower samples_per_shard",
        error,
    )

    local = make_checkout(tmp_path_factory.mktemp("local"))
    done = local.snakemake(MADE, files=FILES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert checkout.numbers() == local.numbers() != {}
    assert not list((checkout.root / "data").glob("*.partial"))
    assert_nothing_left(slurm)
