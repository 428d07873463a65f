"""Dask workers and MPI ranks of one job on two nodes: their stores, and what they leave behind."""

import json
import shlex
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from harness import Checkout
from jobs import assert_nothing_left, jobs_of, running, said, start
from virtual_cluster import wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

MADE = ("data/waves.run.json", "data/vortex.run.json")
FOLDER = "--local-directory="
DATASET = {
    "problem": {"kind": "burgers", "viscosity": 0.05, "time_step": 2.5e-3},
    "grid": [256],
    "num_samples": 160,
    "num_test": 10,
    "samples_per_shard": 10,
}
DRIVER = """
import sys
from pathlib import Path
from pipeline.datagen import stage
from pipeline.errors import PipelineError
from pipeline.runtime.job import Job
from pipeline.store.config import Dataset

try:
    job = Job("generate", "waves", 1, "source", Path("waves.run.json"))
    dataset = Dataset.model_validate_json(sys.argv[1])
    stage.run(job, dataset, store=Path("waves.zarr"), num_workers=4)
except PipelineError as error:
    sys.exit(str(error))
"""
# Python runs it before anything else.
REFUSE = """
import os, sys

worker = sys.orig_argv[1:3] == ["-m", "distributed.cli.dask_worker"]
if worker and os.environ["SLURMD_NODENAME"] == "n2":
    print("no room on the scratch disk", flush=True)
    os._exit(1)
"""


@pytest.fixture(scope="module")
def over_nodes(slurm, tmp_path_factory):
    """A checkout in which the smoke experiment's data were made by jobs of two nodes each."""
    checkout = Checkout.copy_to(tmp_path_factory.mktemp("over_nodes"))
    checkout.ask_for("generate", nodes=2, tasks=2)
    checkout.ask_for("simulate", nodes=2)
    assert start(slurm, checkout, *MADE).wait(timeout=600) == 0, said(checkout)
    for rule in ("generate", "simulate"):
        (job,) = jobs_of(slurm, checkout, rule)
        assert (job["JobState"], job["NumNodes"]) == ("COMPLETED", "2")
    assert_nothing_left(slurm)
    return checkout


@pytest.mark.parametrize("name", ["waves", "vortex"])
def test_the_store_is_that_of_a_local_run(over_nodes, finished, name):
    # It holds the checksum of every shard.
    store = f"data/{name}.zarr/zarr.json"
    assert over_nodes.numbers()[store] == finished.numbers()[store]


def test_both_nodes_work(over_nodes):
    waves, vortex = (json.loads((over_nodes.root / path).read_text())["summary"] for path in MADE)
    assert waves["shards_by_node"].keys() == {"n1", "n2"}
    assert vortex["ranks_by_node"] == {"n1": 1, "n2": 1}
    log = (over_nodes.root / "logs/generate/waves.log").read_text()
    assert "Dask: 4 workers: 2 on 10.77.0.11, 2 on 10.77.0.12" in log


def drive(folder) -> list[str]:
    """Return the command that makes the store in `folder`, with four workers."""
    (folder / "driver.py").write_text(DRIVER)
    return [sys.executable, "driver.py", json.dumps(DATASET)]


def submit(slurm, checkout, *options: str, then: str = "", fails: bool = False) -> str:
    """Submit the driver as a job of two nodes; return the job's number. `fails`: if it should."""
    command = f"{shlex.join(drive(checkout.root))} >>driver.txt 2>&1{then}"
    size = ("--nodes=2", "--ntasks=2", "--cpus-per-task=2", "--mem=3000", "--output=job.txt")
    words = ("sbatch", "--parsable", *options, *size, f"--wrap={command}")
    done = slurm.run(*words, cwd=checkout.root, env=checkout.environment, check=not fails)
    assert bool(done.returncode) == fails
    return done.stdout.strip()


@pytest.fixture
def driven(slurm, tmp_path):
    """A checkout in which the driver runs in a job that outlives it."""
    checkout = Checkout.copy_to(tmp_path)
    job = submit(slurm, checkout, then="; sleep infinity")
    wait_until((checkout.root / "driver.txt").exists, "the job to start")
    yield checkout.root
    slurm.run("scancel", job)
    assert_nothing_left(slurm)


def test_a_killed_driver_leaves_nothing_and_its_shards_are_used(slurm, driven):
    records = driven / "waves.zarr.partial/shards"
    wait_until(lambda: list(records.glob("[0-9]*.json")), "a shard")
    workers = running(slurm, "spawn_main")
    assert {node: len(processes) for node, processes in workers.items()} == {"n1": 2, "n2": 2}
    for process in chain(*workers.values()):
        settings = process.environ()
        # Threads, and Dask's own value that makes the solvers slow: the same on every node.
        assert settings["OMP_NUM_THREADS"] == "1" and "MALLOC_TRIM_THRESHOLD_" not in settings
    command = running(slurm, FOLDER)["n2"][0].cmdline()
    (scratch,) = {Path(word.removeprefix(FOLDER)) for word in command if word.startswith(FOLDER)}
    assert scratch.is_dir()
    running(slurm, "driver.py")["n1"][0].kill()
    # The job itself goes on: nobody but the driver's own ties ends its workers.
    wait_until(lambda: not running(slurm, sys.executable), "the end of the workers")
    assert slurm.run("squeue", "--noheader", "--format=%T").stdout == "RUNNING\n"
    assert not scratch.exists() and not (driven / "waves.zarr").exists()

    done = len(list(records.glob("[0-9]*.json")))
    submit(slurm, Checkout(driven), "--wait")
    assert f"resuming with {done} of 16 shards" in (driven / "driver.txt").read_text()
    undisturbed = driven / "undisturbed"
    undisturbed.mkdir()
    environment = Checkout(driven).environment
    subprocess.run(drive(undisturbed), cwd=undisturbed, env=environment, check=True)
    assert content(driven) == content(undisturbed)
    assert not list(driven.glob("*.partial"))


def content(folder) -> dict[str, bytes]:
    root = folder / "waves.zarr"
    return {str(x.relative_to(root)): x.read_bytes() for x in root.rglob("*") if x.is_file()}


def test_a_node_whose_workers_do_not_start_is_named(slurm, tmp_path):
    checkout = Checkout.copy_to(tmp_path)
    (tmp_path / "sitecustomize.py").write_text(REFUSE)
    submit(slurm, checkout, "--wait", fails=True)
    assert (tmp_path / "driver.txt").read_text() == (
        "node n2: expected Dask to join within 300 s, got: no room on the scratch disk;"
        " run the job again, or on one node\n"
    )
    assert_nothing_left(slurm)
