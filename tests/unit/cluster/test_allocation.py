"""What an allocation means for those who start something over it."""

import socket
import subprocess

import pytest

from cluster import allocation, ray_cluster
from cluster.allocation import Allocation
from pipeline.errors import ClusterError


@pytest.mark.parametrize(("total", "nodes", "share"), [(2, 2, 1), (3, 2, 2), (8, 3, 3), (1, 4, 1)])
def test_every_node_offers_its_share(total, nodes, share):
    others = tuple(f"n{i}" for i in range(1, nodes))
    found = Allocation("7", others, "10.0.0.1").share(total)
    assert found == share and found * nodes >= total


def test_there_is_none_outside_of_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert allocation.current() is None


@pytest.mark.parametrize(("nodes", "here"), [("n1", "n1"), ("n1 n2", "login")])
def test_one_node_or_the_shell_of_salloc_is_no_allocation(monkeypatch, nodes, here):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURMD_NODENAME", here)
    monkeypatch.setattr(
        allocation.slurm_site,
        "ask",
        lambda *words: nodes if "hostnames" in words else "JobId=7 NodeList=n[1-2]",
    )
    assert allocation.current() is None


def test_without_an_answer_this_node_is_all_there_is(monkeypatch, capsys):
    def refuse(*words):
        raise ClusterError("Unable to contact slurm controller")

    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(allocation.slurm_site, "ask", refuse)
    assert allocation.current() is None
    assert capsys.readouterr().out == (
        "nodes of job 7: unknown, Unable to contact slurm controller; this one alone is used\n"
    )


def test_the_way_to_a_compute_node_leads_over_the_login_node(monkeypatch):
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    monkeypatch.setenv("SLURM_SUBMIT_HOST", "login")
    expected = "ssh -N -L 8265:127.0.0.1:8265 -L 3000:127.0.0.1:3000 -J login n1"
    assert ray_cluster.tunnel(8265, "3000") == expected
    monkeypatch.setenv("SLURM_SUBMIT_HOST", socket.gethostname())
    assert "-J" not in ray_cluster.tunnel(8265)


@pytest.mark.parametrize(
    ("command", "timeout_s", "words"),
    [
        ("echo one; echo two; echo srun: error; exit 1", 60, "two"),
        ("exec sleep 60", 0.1, "no word"),
    ],
    ids=["ended", "late"],
)
def test_a_node_that_does_not_join_is_named_with_its_last_words(
    tmp_path, command, timeout_s, words
):
    log = tmp_path / "log"
    with log.open("wb") as output, subprocess.Popen(["sh", "-c", command], stdout=output) as step:
        steps, logs = {"n1": step, "n2": step}, {"n1": log, "n2": log}
        with pytest.raises(ClusterError) as failure:
            allocation.await_nodes(steps, logs, lambda: {"n1"}, "Dask", timeout_s)
        allocation.await_nodes(steps, logs, lambda: {"n1", "n2"}, "Dask", timeout_s)
        step.kill()
    assert str(failure.value) == (
        f"node n2: expected Dask to join within {timeout_s:.0f} s, got: {words};"
        " run the job again, or on one node"
    )
