"""How much memory this job has on a node."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

from cluster import slurm_site
from pipeline.errors import ClusterError

_MIB = 2**20


def limit() -> int:
    """Return the bytes that this job may use on each of its nodes: the least limit that holds.

    Limits: the machine's memory, those of the control groups of this process (a container's, or
    those of a site that confines jobs by them), and what SLURM has given the job on any node. Where
    SLURM does not answer, or does not count memory, the others are left.
    """
    machine: int = psutil.virtual_memory().total
    return min(machine, *of_control_groups(), *_of_slurm_job())


def of_control_groups(
    groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> Iterator[int]:
    """Yield the limits (bytes) of the control groups that a process is in, and of their parents.

    Lines of `groups` are `0::/path` (version 2) and `number:controllers:/path` (version 1). In a
    namespace of its own the path is `/`, and the limit is that of `root`.
    """
    lines = groups.read_text(encoding="utf-8").splitlines() if groups.exists() else []
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers == "":
            top, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        # Limits of parents hold for their children, whose own files may say max.
        own = top / path.lstrip("/")
        for folder in (own, *own.parents):
            file = folder / name
            if file.exists() and (text := file.read_text(encoding="utf-8").strip()) != "max":
                yield int(text)
            if folder == top:
                break


def of_job_record(record: str) -> list[int]:
    """Return the bytes that a job has on its nodes, from `scontrol show job --details`.

    Nodes that offer the same share an entry, `Nodes=n[1-2] CPU_IDs=0-1 Mem=8000 GRES=`, in MB.
    `Mem=0` means that SLURM does not count memory.
    """
    found = re.findall(r"\bNodes=\S+\s+CPU_IDs=\S+\s+Mem=(\d+)", record)
    return [int(megabytes) * _MIB for megabytes in found if int(megabytes)]


def _of_slurm_job() -> list[int]:
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return []
    try:
        return of_job_record(slurm_site.ask("scontrol", "--details", "show", "job", job))
    except ClusterError:
        return []
