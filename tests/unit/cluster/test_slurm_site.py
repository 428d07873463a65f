"""What SLURM's commands print is read as meant; what jobs ask for is compared with it."""

import math

import pytest
from harness import ROOT

from cluster import preflight, slurm_site
from cluster.slurm_request import Request, read_profile
from cluster.slurm_site import Node, Partition, Site
from pipeline.errors import ClusterError

NODES = """\
NodeName=g1 Arch=x86_64 CPUTot=64 Gres=gpu:a100:4(S:0-1) OS=Linux 6.1.0 #1 SMP Debian \
RealMemory=512000 State=IDLE Partitions=gpu,all BootTime=2026-01-01T00:00:00
NodeName=c1 Arch=x86_64 CPUTot=32 Gres=(null) RealMemory=128000 State=IDLE Partitions=cpu,all
"""
PARTITIONS = """\
PartitionName=gpu Default=NO MaxNodes=1 MaxTime=2-00:00:00 Nodes=g1 State=UP MaxMemPerNode=256000
PartitionName=cpu Default=YES MaxNodes=UNLIMITED MaxTime=UNLIMITED Nodes=c1 State=UP
"""


@pytest.fixture
def site():
    nodes = list(slurm_site.parse_records(NODES))
    shown = slurm_site.parse_records(PARTITIONS)
    partitions = {x["PartitionName"]: slurm_site.partition(x, nodes) for x in shown}
    return Site(partitions, has_accounting=True, min_job_age_s=300, accounts=frozenset("ab"))


def test_partitions_and_their_nodes(site):
    gpu = Node("g1", cpus=64, memory_mb=512000, gpus=4)
    cpu = Node("c1", cpus=32, memory_mb=128000, gpus=0)
    assert site.partitions == {
        "gpu": Partition("gpu", "UP", False, 2880, 1, 256000, (gpu,)),
        "cpu": Partition("cpu", "UP", True, math.inf, math.inf, math.inf, (cpu,)),
    }


def test_a_value_with_blanks_ends_at_the_next_key():
    (record, _) = slurm_site.parse_records(NODES)
    assert record["OS"] == "Linux 6.1.0 #1 SMP Debian"
    assert record["BootTime"] == "2026-01-01T00:00:00"


def test_a_key_of_a_job_may_hold_colons():
    (record,) = slurm_site.parse_records("Partition=main AllocNode:Sid=login:0 ReqB:S:C:T=0:0:*:*")
    assert record == {"Partition": "main", "AllocNode:Sid": "login:0", "ReqB:S:C:T": "0:0:*:*"}


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("UNLIMITED", math.inf),
        ("00:05:00", 5),
        ("1-12:00:00", 36 * 60),
        ("00:00:30", 0.5),
        ("1:30", 1.5),
    ],
)
def test_time_limits(limit, expected):
    assert slurm_site.minutes(limit) == expected


@pytest.mark.parametrize(
    ("gres", "expected"),
    [
        ("", 0),
        ("(null)", 0),
        ("gpu", 1),
        ("gpu:2", 2),
        ("gpu:a100:4(S:0-1)", 4),
        ("gpu:a100:4(S:0,3),shard:8,gpu:h100:2", 6),
        ("lustre:1,gpu:h100", 1),
    ],
)
def test_gpus(gres, expected):
    assert slurm_site.count_gpus(gres) == expected


def test_settings_of_the_controller():
    config = slurm_site.parse_config(
        "Configuration data as of now\nMinJobAge  = 300 sec\nA = b=c\n"
    )
    assert slurm_site.seconds(config["MinJobAge"]) == 300
    assert config["A"] == "b=c"


def test_requests_in_the_terms_of_slurm():
    resources = {"mem_mb": 4000, "runtime": 10, "tasks": 4, "nodes": 2, "gres": "gpu:2"}
    assert Request.of("train", 3, resources) == Request(
        "train", runtime=10, memory_mb=4000, nodes=2, cpus=12, gpus=2
    )
    per_cpu = {"mem_mb_per_cpu": 1000, "mem_mb": "<TBD>", "tasks": 4, "nodes": 2}
    assert Request.of("train", 3, per_cpu).memory_mb == 6000
    later = {"mem_mb": "8000 * attempt", "slurm_partition": "<TBD>"}
    assert Request.of("train", 1, later) == Request("train")


def found(site, **asked) -> list[str]:
    return list(preflight._requests(site, [Request("train", **asked)]))


def test_what_fits(site):
    assert found(site) == []
    assert found(site, partition="gpu", gpus=4, memory_mb=256000, runtime=2880, account="a") == []


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"partition": "cpus"}, "slurm_partition: expected one of cpu, gpu, got cpus"),
        ({"account": "c"}, "slurm_account: expected one of a, b, got c"),
        (
            {"partition": "gpu", "runtime": 2881},
            "runtime: expected at most 2880 minutes in partition gpu, got 2881",
        ),
        ({"nodes": 2, "partition": "gpu"}, "nodes: expected at most 1 in partition gpu, got 2"),
        ({"cpus": 33}, "resources: expected at most what 1 of 1 nodes have (largest: 32 CPUs,"),
        ({"gpus": 1}, "resources: expected at most what 1 of 1 nodes have (largest: 32 CPUs,"),
        (
            {"partition": "gpu", "memory_mb": 256001},
            "mem_mb: expected at most 256000 for each node, got 256001 in partition gpu",
        ),
    ],
)
def test_what_does_not_fit(site, asked, line):
    (problem,) = found(site, **asked)
    assert problem.startswith(f"train: {line}")
    assert problem.endswith("; change it in cluster/slurm/config.yaml")


def test_a_problem_of_several_rules_is_one_line(site):
    requests = [Request(rule, partition="nope") for rule in ("train", "search", "train")]
    (line,) = preflight._requests(site, requests)
    assert line.startswith("search, train: slurm_partition: ")


def test_what_only_a_retry_would_meet_is_a_warning(site, monkeypatch):
    monkeypatch.setattr(preflight, "_check_reachable", lambda: None)
    monkeypatch.setattr(slurm_site, "read_site", lambda user: site)
    memory = {1: 60000, 2: 130000, 3: 180000}
    requests = [Request("train", memory_mb=mb, attempt=n) for n, mb in memory.items()]
    found = preflight.check(requests, None)
    assert found.problems == []
    assert [line.split(":")[0] for line in found.warnings] == [
        "train (attempt 2)",
        "train (attempt 3)",
    ]
    assert "got 1 CPUs, 180000 MB" in found.warnings[1]
    assert preflight.check(requests[2:], None).problems == []


@pytest.fixture
def slurm_without_database(tmp_path, monkeypatch):
    """SLURM's commands of a site whose controller answers and whose database does not."""
    answers = {
        "scontrol": 'case "$*" in *config*) cat config;; *node*) cat nodes;;'
        " *partition*) cat partitions;; esac",
        "sacctmgr": "echo 'error: Problem talking to the database: Connection refused' >&2; exit 1",
    }
    accounting = "AccountingStorageType = accounting_storage/slurmdbd"
    (tmp_path / "config").write_text(f"{accounting}\nMinJobAge = 300 sec\n")
    (tmp_path / "nodes").write_text(NODES)
    (tmp_path / "partitions").write_text(PARTITIONS)
    for name in ("sbatch", "srun", "scancel", "squeue", *answers):
        script = f"#!/bin/sh\ncd {tmp_path}\n{answers.get(name, 'exit 1')}\n"
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.mark.parametrize("account", [None, "physics"])
def test_a_database_that_is_down_is_a_warning(slurm_without_database, account):
    found = preflight.check([Request("train", account=account)], "squeue")
    assert found.problems == []
    (line,) = found.warnings
    assert line.startswith("sacctmgr: expected the accounts of ")
    assert "Problem talking to the database: Connection refused; jobs run all the same" in line


def test_sacct_sees_nothing_while_the_database_is_down(slurm_without_database):
    (line,) = preflight.check([Request("train")], "sacct").problems
    assert line.startswith("slurm-status-command: expected squeue while the database")


def test_a_user_without_a_name(monkeypatch):
    def unknown():
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(preflight.getpass, "getuser", unknown)
    assert preflight._user() == str(preflight.os.getuid())


def test_no_default_partition(site):
    del site.partitions["cpu"]
    assert "got none, and the site has no default" in found(site)[0]


@pytest.mark.parametrize(
    ("command", "accounting", "age", "expected"),
    [
        ("sacct", True, 5, []),
        ("squeue", False, 300, []),
        ("sacct", False, 300, ["slurm-status-command: expected squeue"]),
        ("squeue", False, 30, ["MinJobAge: expected at least 240 s"]),
    ],
)
def test_how_jobs_are_followed(command, accounting, age, expected):
    lines = list(preflight._following(Site({}, accounting, age), command))
    assert [line[: len(x)] for line, x in zip(lines, expected, strict=True)] == expected


def test_without_slurm_the_first_problem_is_the_only_one(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (line,) = preflight.check([Request("train")], "squeue").problems
    assert line.startswith("PATH: expected SLURM's commands, got no sbatch, srun, scancel")


def test_the_shipped_profile_is_read():
    requests, status_command = read_profile(ROOT / preflight._PROFILE)
    assert status_command == "squeue"
    asked = {request.rule: request for request in requests}
    assert {"default-resources", "train", "generate"} <= asked.keys()
    # An expression with `attempt` is known only for a job.
    assert asked["train"].runtime == 30 and asked["train"].memory_mb is None


def test_a_profile_that_is_not_there(tmp_path):
    with pytest.raises(ClusterError, match="expected a Snakemake profile, got: .*No such file"):
        read_profile(tmp_path / "config.yaml")
