"""The preflight finds the traps of a real site and says what to change."""

import sys

import pytest
from harness import Checkout
from virtual_cluster import VirtualCluster, wait_until

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return Checkout.copy_to(tmp_path_factory.mktemp("preflight"))


def preflight(slurm, checkout, *arguments: str, prefix: tuple[str, ...] = ()):
    command = [*prefix, sys.executable, "-m", "cluster.preflight", *arguments]
    return slurm.run(*command, cwd=checkout.root, env=checkout.environment, check=False)


def test_the_shipped_profile_passes_and_nodes_share_the_folder(slurm, checkout):
    done = preflight(slurm, checkout, "--probe")
    assert (done.returncode, done.stderr) == (0, "preflight: no problem found\n")
    assert not list(checkout.root.glob(".preflight*"))


def test_a_folder_that_the_nodes_do_not_share(slurm, checkout):
    # Hidden from the nodes, not from the login node, whose mounts are its own.
    hide = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /mnt && cd /mnt && exec "$@"')
    profile = str(checkout.root / "slurm/config.yaml")
    done = preflight(slurm, checkout, profile, "--probe", prefix=(*hide, "sh"))
    assert done.returncode == 1
    assert "expected a node that reads and writes /mnt, got: " in done.stderr
    assert "work on a file system that the nodes share" in done.stderr


def test_a_configuration_that_jobs_would_lose(slurm, checkout):
    copy = slurm.run_folder / "copy.conf"
    copy.write_text((slurm.run_folder / "etc/slurm.conf").read_text())
    script = f'umount /etc/slurm && SLURM_CONF={copy} && export SLURM_CONF && exec "$@"'
    done = preflight(slurm, checkout, prefix=("unshare", "--mount", "sh", "-c", script, "sh"))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("SLURM_CONF: expected a configuration that is found without it")
    assert str(copy) in line


def test_no_site_at_all(slurm, checkout):
    prefix = ("unshare", "--mount", "sh", "-c", 'umount /etc/slurm && exec "$@"', "sh")
    done = preflight(slurm, checkout, prefix=prefix)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("scontrol ping: expected a controller that answers, got: ")


def test_a_controller_that_is_down(slurm, checkout):
    # A second cluster beside the first, which others use.
    with VirtualCluster() as cluster:
        cluster.run("scontrol", "shutdown", "slurmctld")
        ping = ("scontrol", "ping")
        wait_until(lambda: cluster.run(*ping, check=False).returncode, "the controller to end")
        done = preflight(cluster, checkout)
    (line,) = done.stderr.splitlines()
    assert line.startswith("scontrol ping: expected a controller that answers, got: ")
    assert "DOWN" in line


def test_accounting_is_needed_by_sacct_and_by_accounts(slurm, checkout, tmp_path):
    profile = tmp_path / "config.yaml"
    profile.write_text(
        "slurm-status-command: sacct\n"
        "default-resources: {slurm_account: physics, runtime: 10}\n"
        "set-resources: {train: {mem_mb: 100}}\n"
    )
    done = preflight(slurm, checkout, str(profile))
    assert done.returncode == 1
    following, account = done.stderr.splitlines()
    assert following.startswith("slurm-status-command: expected squeue")
    assert account.startswith("default-resources, train: slurm_account: expected none")
    assert account.endswith("got physics; remove it from cluster/slurm/config.yaml")


def test_snakemake_stops_before_the_first_job(slurm, checkout):
    before = jobs(slurm)
    asked = {
        "train": "slurm_partition=gpu",
        "generate": "slurm_partition=debug",
        "search": "nodes=3",
        "certify": "mem_mb=20000",
    }
    resources = [f"{rule}:{value}" for rule, value in asked.items()]
    command = checkout.command("--profile", "slurm", "--quiet", "--set-resources", *resources)
    done = slurm.run(*command, cwd=checkout.root, env=checkout.environment, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-4:] == [
        "certify: resources: expected at most what 1 of 2 nodes have (largest: 4 CPUs, 16000 MB,"
        " 0 GPUs), got 1 CPUs, 20000 MB for each in partition main;"
        " change it in cluster/slurm/config.yaml",
        "generate: runtime: expected at most 5 minutes in partition debug, got 60;"
        " change it in cluster/slurm/config.yaml",
        "search: nodes: expected at most 2 in partition main, got 3;"
        " change it in cluster/slurm/config.yaml",
        "train: slurm_partition: expected one of closed, debug, main, got gpu;"
        " change it in cluster/slurm/config.yaml",
    ]
    assert jobs(slurm) == before


def jobs(slurm) -> str:
    return slurm.run("squeue", "--states=all", "--noheader", "--format=%i").stdout
