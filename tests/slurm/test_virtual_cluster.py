"""The virtual cluster is a real SLURM and leaves nothing behind."""

import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from virtual_cluster import wait_until

pytestmark = pytest.mark.slurm


def test_a_job_on_two_nodes_sees_two_machines(slurm):
    done = slurm.run("srun", "--nodes=2", "sh", "-c", "hostname; hostname -i")
    assert set(done.stdout.split()) == {"n1", "n2", "10.77.0.11", "10.77.0.12"}


def test_pmix_starts_one_world_over_the_nodes(slurm):
    done = slurm.run("srun", "--mpi=pmix", "--nodes=2", "--ntasks=4", "printenv", "PMIX_RANK")
    assert sorted(done.stdout.split()) == ["0", "1", "2", "3"]


def test_a_job_over_its_memory_is_killed(slurm):
    code = "import time; x = bytearray(300 * 2**20); time.sleep(60)"
    done = slurm.run("srun", "--mem=100", sys.executable, "-c", code, check=False)
    assert done.returncode != 0
    assert "memory limit" in done.stderr


def test_a_killed_node_goes_down_and_comes_back(slurm):
    slurm.kill_node("n2")
    try:
        wait_until(lambda: slurm.states()["n2"].startswith("down"), "n2 to be seen down")
        assert slurm.states()["n1"] == "idle"
    finally:
        slurm.start_node("n2")
    wait_until(lambda: slurm.states()["n2"] == "idle", "n2 to be idle again")
    assert slurm.run("srun", "--nodelist=n2", "hostname").stdout == "n2\n"


def test_nothing_outlives_its_maker(slurm, monkeypatch):
    # Only its folder of files does.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        # Munge wants its socket reachable for all.
        Path(folder).chmod(0o755)
        monkeypatch.setenv("TMPDIR", folder)
        kill_the_maker()


def kill_the_maker():
    script = Path(__file__).parents[1] / "support/virtual_cluster.py"
    command = [sys.executable, script, "sh", "-c", "echo up; sleep infinity"]
    maker = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert maker.stdout.readline() == b"up\n"
        family = psutil.Process(maker.pid).children(recursive=True)
        names = set()
        for process in family:
            with suppress(psutil.NoSuchProcess):  # one that only ran for a moment
                names.add(process.name())
    finally:
        maker.kill()
        maker.wait()
    assert {"slurmctld", "slurmd", "munged"} <= names
    wait_until(lambda: not any(x.is_running() for x in family), "the end of the cluster")
