"""Many small runs in one SLURM job: docs/scale.md."""

import pytest
from harness import Checkout
from jobs import assert_nothing_left, jobs_of, said, start

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

RUN = """
  ball_{seed}:
    problem: {{kind: two_body, dim: 10, coefficient_seed: {seed}}}
    model: {{kind: mlp, width: 8, depth: 2}}
    estimator: {{kind: sdgd, sampled_axes: 4}}
    train: {{num_steps: 20, batch_size: 20, num_test_points: 100, num_workers: 1}}
"""
SEEDS = range(3)


def test_a_group_of_runs_is_one_job_that_fits_on_a_node(slurm, tmp_path):
    checkout = Checkout.copy_to(tmp_path)
    runs = "".join(RUN.format(seed=seed) for seed in SEEDS)
    (tmp_path / "many.yaml").write_text(f"schema_version: 1\nseed: 7\nruns:{runs}")
    checkout.ask_for("train", mem_mb=2000, runtime=20)
    groups = ("--groups", "train=small", "--group-components", f"small={len(SEEDS)}", "--")
    made = [f"results/many/train/ball_{seed}/run.json" for seed in SEEDS]
    process = start(slurm, checkout, *groups, *made, files=("many.yaml",))
    assert process.wait(timeout=400) == 0, said(checkout)
    (job,) = jobs_of(slurm, checkout)
    # Side by side: their CPUs and their memory together, on one node.
    found = [job[key] for key in ("JobState", "NumNodes", "NumTasks", "NumCPUs", "MinMemoryNode")]
    assert found == ["COMPLETED", "1", "1", "3", "6000M"]
    assert all((tmp_path / file).exists() for file in made)
    assert_nothing_left(slurm)
