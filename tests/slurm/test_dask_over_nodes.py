"""Dask workers and MPI ranks of one job on two nodes: their stores, and what they leave behind."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from harness import Checkout
from over_nodes import assert_nothing_left, jobs_of, running, said, start
from virtual_cluster import wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

MADE = ("data/waves.run.json", "data/vortex.run.json")
FOLDER = "--local-directory="
DRIVER = """
import sys
from cluster.dask_cluster import client
from pipeline.errors import ClusterError

try:
    with client(4) as connected:
        print("all joined", flush=True)
        sys.stdin.read()
except ClusterError as error:
    print(error, flush=True)
"""


@pytest.fixture(scope="module")
def over_nodes(slurm, tmp_path_factory):
    """A checkout in which the smoke experiment's data were made by jobs of two nodes each."""
    checkout = Checkout.copy_to(tmp_path_factory.mktemp("over_nodes"))
    path = checkout.root / "slurm/config.yaml"
    profile = yaml.safe_load(path.read_text())
    profile["set-resources"]["generate"] |= {"nodes": 2, "tasks": 2}
    profile["set-resources"]["simulate"] |= {"nodes": 2}
    path.write_text(yaml.safe_dump(profile))
    assert start(slurm, checkout, *MADE).wait(timeout=400) == 0, said(checkout)
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


@pytest.fixture
def driver(slurm, tmp_path):
    """Start a driver with two workers on each node of a job that outlives it; return its output."""
    checkout = Checkout.copy_to(tmp_path)
    (tmp_path / "driver.py").write_text(DRIVER)
    output = tmp_path / "driver.txt"
    command = f"sleep infinity | {sys.executable} driver.py >{output}; sleep infinity"
    size = ("--nodes=2", "--ntasks=2", "--cpus-per-task=2", "--mem=3000", "--output=job.txt")
    submit = ("sbatch", "--parsable", *size, f"--wrap={command}")
    job = slurm.run(*submit, cwd=tmp_path, env=checkout.environment).stdout.strip()
    wait_until(output.exists, "the job to start")
    yield output
    slurm.run("scancel", job)
    assert_nothing_left(slurm)


def test_a_killed_driver_leaves_nothing_on_any_node(slurm, driver):
    wait_until(lambda: "all joined" in driver.read_text(), "the workers")
    assert len(running(slurm, "spawn_main")["n2"]) == len(running(slurm, "spawn_main")["n1"]) == 2
    command = running(slurm, FOLDER)["n2"][0].cmdline()
    (scratch,) = {Path(word.removeprefix(FOLDER)) for word in command if word.startswith(FOLDER)}
    assert scratch.is_dir()
    (process,) = running(slurm, "driver.py")["n1"]
    process.kill()
    wait_until(lambda: not running(slurm, "python"), "the end of the workers")
    assert not scratch.exists()
    assert slurm.run("squeue", "--noheader", "--format=%T").stdout == "RUNNING\n"


def test_a_node_whose_workers_do_not_start_is_named(slurm, driver):
    wait_until(lambda: "n2" in running(slurm, "cluster.on_node"), "the step on the other node")
    running(slurm, "cluster.on_node")["n2"][0].kill()
    wait_until(lambda: driver.read_text().endswith("\n"), "the error")
    (line,) = driver.read_text().splitlines()
    assert line.startswith("Dask: expected 2 workers on n2, got 0 after ")
    wait_until(lambda: not running(slurm, "python"), "the end of the workers")
