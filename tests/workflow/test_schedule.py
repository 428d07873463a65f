"""Which jobs each edit and each overlay schedules, on a finished experiment."""

import os
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Checkout

pytestmark = pytest.mark.slow

TRAIN = {"train:waves_fno", "train:ball_sdgd"}
GENERATE = {"generate:waves", "simulate:vortex"}
STARTING = {
    "problem": {"kind": "two_body", "dim": 20},
    "model": {"kind": "mlp", "width": 16, "depth": 3},
    "estimator": {"kind": "sdgd", "sampled_axes": 4},
    "train": {"num_steps": 1, "num_test_points": 500, "num_workers": 1},
    "initial_checkpoint": "results/smoke/train/ball_sdgd/checkpoint",
}


@contextmanager
def edited(path: Path):
    """Append a comment to a source file, and take it back."""
    original = path.read_text()
    path.write_text(original + "\n# An edit.\n")
    try:
        yield
    finally:
        path.write_text(original)


def test_the_run_ends_with_a_table_and_the_report(finished):
    closing = (finished.root / "first_run.txt").read_text()
    assert "proved" in closing and "results/smoke/report.html" in closing
    for name in ("summary.parquet", "report.html", "run.json", "experiment.json"):
        assert (finished.root / "results/smoke" / name).stat().st_size > 0
    for folder in ("train/waves_fno", "train/ball_sdgd", "search/packing_d8", "certify/packing_d8"):
        assert (finished.root / "results/smoke" / folder / "run.json").exists()


def test_a_second_run_does_nothing(finished):
    assert finished.scheduled() == set()
    done = finished.snakemake()
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr


def test_a_moved_checkout_has_nothing_to_do(finished):
    moved = Checkout(finished.root.with_name(f"{finished.root.name} moved"))
    finished.root.rename(moved.root)
    try:
        assert moved.scheduled() == set()
    finally:
        moved.root.rename(finished.root)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("pipeline/estimators/sdgd/estimator.py", {"train:ball_sdgd", "aggregate"}),
        ("pipeline/problems/two_body/problem.py", {"train:ball_sdgd", "aggregate"}),
        ("pipeline/estimators/full/estimator.py", set()),
        # What a report may be made of: labels and titles of all kinds.
        ("pipeline/estimators/full/config.py", {"aggregate"}),
        ("pipeline/wording.py", {"aggregate"}),
        ("pipeline/models/fno/model.py", {"train:waves_fno", "aggregate"}),
        ("pipeline/training/loop.py", TRAIN | {"aggregate"}),
        ("pipeline/equations/spectral/etdrk.py", GENERATE | {"train:waves_fno", "aggregate"}),
        ("pipeline/equations/spectral/mpi_fft.py", {"simulate:vortex", "aggregate"}),
        ("pipeline/datagen/sample.py", {"generate:waves", "train:waves_fno", "aggregate"}),
        ("pipeline/equations/darcy/solver.py", set()),
        ("pipeline/packing/solver.py", {"search:packing_d8", "certify:packing_d8", "aggregate"}),
        ("pipeline/certify/verify.py", {"certify:packing_d8", "aggregate"}),
        ("pipeline/aggregate/report.py", {"aggregate"}),
        # A kind's configuration counts like its code, and the union of all kinds does not.
        ("pipeline/estimators/sdgd/config.py", {"train:ball_sdgd", "aggregate"}),
        ("pipeline/estimators/union.py", set()),
        ("pipeline/training/pinn/residual.py", {"train:ball_sdgd", "aggregate"}),
        ("pipeline/training/operator/baselines.py", {"train:waves_fno", "aggregate"}),
        # What is published, and what is told on the way, shape no result.
        ("pipeline/packing/known.py", {"aggregate"}),
        ("pipeline/aggregate/published.py", {"aggregate"}),
        ("pipeline/runtime/progress.py", set()),
        ("pipeline/aggregate/sections/flows.html.j2", {"aggregate"}),
        ("pipeline/aggregate/across/compared.html.j2", set()),
        ("cluster/ray_cluster.py", set()),
        ("cluster/mpi.py", set()),
        ("pipeline/runtime/provenance.py", set()),
    ],
)
def test_an_edit_reruns_what_uses_it(finished, file, expected):
    with edited(finished.root / file):
        assert finished.scheduled() == expected


def test_forcing_a_rule_reruns_it_and_what_depends_on_it(finished):
    assert finished.scheduled("-R", "train") == TRAIN | {"aggregate"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"runs": {"ball_sdgd": {"train": {"num_steps": 70}}}}, {"train:ball_sdgd", "aggregate"}),
        # The workers divide the work and shape no number; the report names the experiment.
        ({"runs": {"ball_sdgd": {"train": {"num_workers": [1, 3]}}}}, {"aggregate"}),
        # Nor do these; the data set alone would be made by as many other processes.
        ({"runs": {"ball_sdgd": {"train": {"checkpoint_every": 7}}}}, {"aggregate"}),
        ({"runs": {"waves_fno": {"train": {"evaluate_every": 7}}}}, {"aggregate"}),
        ({"runs": {"ball_sdgd": {"train": {"compile": True}}}}, {"aggregate"}),
        ({"datasets": {"vortex": {"ranks": 1}}}, {"aggregate"}),
        # A checkpoint that the experiment makes is made, or made anew, first.
        (
            {"runs": {"again": STARTING, "ball_sdgd": {"train": {"num_steps": 70}}}},
            {"train:ball_sdgd", "train:again", "aggregate"},
        ),
        ({"runs": {"again": STARTING}}, {"train:again", "aggregate"}),
        (
            {"bounds": {"line": {"formulation": {"kind": "two_point", "dim": 1, "degree": 11}}}},
            {"search:line", "certify:line", "aggregate"},
        ),
    ],
)
def test_a_change_of_the_experiment_reruns_what_it_changes(finished, change, expected):
    with finished.changed(change):
        assert finished.scheduled() == expected


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        ("data/waves.zarr", {"generate:waves", "train:waves_fno", "aggregate"}),
        ("data/vortex.run.json", {"simulate:vortex", "aggregate"}),
        ("results/smoke/train/ball_sdgd/metrics.parquet", {"train:ball_sdgd", "aggregate"}),
        ("results/smoke/train/waves_fno/checkpoint", {"train:waves_fno", "aggregate"}),
        (
            "results/smoke/search/packing_d8/candidate.json",
            {"search:packing_d8", "certify:packing_d8", "aggregate"},
        ),
        ("results/smoke/certify/packing_d8/verdict.json", {"certify:packing_d8", "aggregate"}),
        ("results/smoke/report.html", {"aggregate"}),
    ],
)
def test_what_is_deleted_is_made_anew(finished, tmp_path, lost, expected):
    path = finished.root / lost
    path.rename(tmp_path / "lost")
    try:
        assert finished.scheduled() == expected
    finally:
        (tmp_path / "lost").rename(path)


def test_a_bare_snakemake_plans_the_main_job(finished):
    jobs = finished.scheduled(files=())
    assert {"generate:burgers_nu1e-2", "generate:darcy_64", "train:burgers_fno"} <= jobs
    assert {"search:packing_d24", "certify:packing_d24", "aggregate"} <= jobs


def test_the_slurm_profile_resolves(finished):
    done = finished.snakemake("-n", "--profile", "slurm", files=())
    assert done.returncode == 0, done.stderr
    assert "slurm and workflow specific profile" in done.stderr
    assert "rule train" in done.stdout + done.stderr


def test_cluster_jobs_are_not_held_to_the_cores_of_the_login_node(finished):
    # On a laptop with one core the same jobs are.
    one_core = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))]
    threads = {}
    for profile in ((), ("--profile", "slurm")):
        done = subprocess.run(
            [*one_core, *finished.command("-n", "-F", *profile)],
            cwd=finished.root,
            env=finished.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        threads[profile] = sorted(re.findall(r"^    threads: (\d+)$", done.stdout, re.M))
    assert threads[()] == []
    assert threads["--profile", "slurm"] == ["2", "2", "2", "2"]
