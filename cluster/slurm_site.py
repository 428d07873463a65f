"""What a SLURM site offers, asked through its own commands and parsed."""

import math
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import ClusterError

Record = Mapping[str, str]

_DAY, _HOUR = 24 * 60, 60


@dataclass(frozen=True)
class Node:
    """What one node has for jobs."""

    name: str
    cpus: int
    memory_mb: int
    gpus: int


@dataclass(frozen=True)
class Partition:
    """What a partition allows, and its nodes. Times are minutes, `math.inf` where unlimited."""

    name: str
    state: str
    is_default: bool
    max_minutes: float
    max_nodes: float
    max_memory_mb: float
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Site:
    """A reachable SLURM: partitions by name, and what decides how jobs can be followed.

    `silence`: why the database of accounts does not answer, though the site keeps one.
    """

    partitions: Mapping[str, Partition]
    has_accounting: bool
    min_job_age_s: int
    accounts: frozenset[str] = field(default_factory=frozenset)
    silence: str = ""


def ask(*command: str | Path, env: Mapping[str, str] | None = None, timeout_s: float = 60) -> str:
    """Return what a SLURM command prints.

    Raises:
        ClusterError: it is not installed, failed, or did not answer in time; the text is its
            last complaint.
    """
    try:
        done = subprocess.run(
            command,
            env=env,
            # `srun` would take the input of whoever calls this.
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except FileNotFoundError:
        raise ClusterError(f"{command[0]} is not on PATH") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"no answer from {command[0]} for {timeout_s:.0f} s") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        # A frame of asterisks follows the message that the controller is down.
        complaints = [line for line in said if not line.startswith("*")]
        raise ClusterError(complaints[-1] if complaints else f"exit status {done.returncode}")
    return done.stdout


def read_site(user: str) -> Site:
    """Return what the site offers to `user`.

    The controller alone is needed: it queues and runs jobs while the database is down.

    Raises:
        ClusterError: a command failed; see `ask`.
    """
    config = parse_config(ask("scontrol", "show", "config"))
    nodes = list(parse_records(ask("scontrol", "show", "node", "--oneliner")))
    shown = parse_records(ask("scontrol", "show", "partition", "--oneliner"))
    partitions = {record["PartitionName"]: partition(record, nodes) for record in shown}
    storage = config.get("AccountingStorageType", "")
    # `accounting_storage/none` in older versions, `(null)` in newer ones.
    has_accounting = storage.rsplit("/", 1)[-1] not in ("", "none", "(null)")
    accounts, silence = frozenset[str](), ""
    if has_accounting:
        query = ("list", "associations", f"user={user}", "format=account", "--noheader")
        try:
            accounts = frozenset(ask("sacctmgr", "--parsable2", *query, timeout_s=30).split())
        except ClusterError as error:
            silence = str(error)
    min_job_age = seconds(config.get("MinJobAge", "0"))
    return Site(partitions, has_accounting, min_job_age, accounts, silence)


def without_slurm_variables() -> dict[str, str]:
    """Return the environment as Snakemake hands it on inside a job: SLURM_CONF is gone."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}


def parse_config(text: str) -> Record:
    """Return the settings of `scontrol show config`."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def parse_records(text: str) -> Iterator[Record]:
    """Yield the records of `scontrol show ... --oneliner`: `Key=Value` pairs, one line each.

    Values may hold blanks (`OS=Linux 6.1 #1 SMP`), so a value ends where the next key begins.
    """
    for line in text.splitlines():
        pairs = re.findall(r"([^\s=]+)=(.*?)(?=\s+[^\s=]+=|\s*$)", line)
        if pairs:
            yield dict(pairs)


def partition(record: Record, nodes: list[Record]) -> Partition:
    """Return the partition of a record, with those of `nodes` that list it as theirs."""
    name = record["PartitionName"]
    return Partition(
        name=name,
        state=record["State"],
        is_default=record["Default"] == "YES",
        max_minutes=minutes(record["MaxTime"]),
        max_nodes=number(record["MaxNodes"]),
        max_memory_mb=number(record.get("MaxMemPerNode", "UNLIMITED")),
        nodes=tuple(node(x) for x in nodes if name in x.get("Partitions", "").split(",")),
    )


def node(record: Record) -> Node:
    """Return the node of a record."""
    return Node(
        name=record["NodeName"],
        cpus=int(record["CPUTot"]),
        memory_mb=int(record["RealMemory"]),
        gpus=count_gpus(record.get("Gres", "")),
    )


def count_gpus(gres: str) -> int:
    """Return the number of GPUs in a list of generic resources.

    The forms are `gpu`, `gpu:2`, `gpu:a100:2` and, as nodes report it, `gpu:a100:2(S:0-1)`.
    """
    total = 0
    for item in re.sub(r"\([^)]*\)", "", gres).split(","):
        kind, *rest = item.strip().split(":")
        if kind == "gpu":
            total += int(rest[-1]) if rest and rest[-1].isdigit() else 1
    return total


def minutes(limit: str) -> float:
    """Return a time limit in minutes; SLURM writes [days-][hours:]minutes:seconds."""
    if limit.upper() in ("UNLIMITED", "INFINITE", "NONE"):
        return math.inf
    # From the right: without days there is no dash.
    days, _, clock = limit.rpartition("-")
    *hours, mins, secs = (int(x) for x in clock.split(":"))
    return int(days or 0) * _DAY + sum(hours) * _HOUR + mins + secs / 60


def number(limit: str) -> float:
    """Return a limit as a number; `UNLIMITED` is infinite."""
    return math.inf if limit.upper() == "UNLIMITED" else int(limit)


def seconds(setting: str) -> int:
    """Return the seconds of a setting such as `300 sec`."""
    return int(setting.split()[0])
