"""What the jobs of a rule ask SLURM for, in the terms of the SLURM executor."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster import slurm_site
from pipeline.errors import ClusterError


@dataclass(frozen=True)
class Request:
    """What jobs of one rule ask SLURM for; None where they leave it to the site.

    Times are minutes. Memory is for each node; `cpus` and `gpus` are for the whole job. A job that
    failed is submitted again as attempt 2, and may then ask for more.
    """

    rule: str
    partition: str | None = None
    account: str | None = None
    runtime: int | None = None
    memory_mb: int | None = None
    nodes: int = 1
    cpus: int = 1
    gpus: int = 0
    mpi: str = ""
    attempt: int = 1

    @classmethod
    def of(
        cls, rule: str, threads: int, resources: Mapping[str, Any], attempt: int = 1
    ) -> "Request":
        """Return the request that the SLURM executor makes of a job's resources.

        What is not known yet (Snakemake's "<TBD>", or an expression in a profile) is left out.
        """
        nodes = _integer(resources, "nodes") or 1
        cpus = max(_integer(resources, "cpus_per_task") or threads, 1)
        cpus *= _integer(resources, "tasks") or 1
        per_cpu = _integer(resources, "mem_mb_per_cpu")
        # SLURM multiplies it by the CPUs of a node.
        memory = per_cpu * -(-cpus // nodes) if per_cpu else _integer(resources, "mem_mb")
        gpus = _integer(resources, "gpu") or slurm_site.count_gpus(str(resources.get("gres", "")))
        return cls(
            rule,
            partition=_text(resources, "slurm_partition"),
            account=_text(resources, "slurm_account"),
            runtime=_integer(resources, "runtime"),
            memory_mb=memory,
            nodes=nodes,
            cpus=cpus,
            gpus=gpus,
            mpi=str(resources.get("mpi", "")),
            attempt=attempt,
        )


def read_profile(path: Path) -> tuple[list[Request], str | None]:
    """Return what a profile makes every rule ask for, and how it follows jobs.

    Raises:
        ClusterError: there is no such profile, or it is not one of SLURM.
    """
    try:
        profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise ClusterError(
            f"{path}: expected a Snakemake profile, got: {first}; run it from the repository root"
        ) from None
    defaults = profile.get("default-resources") or {}
    # Rules without resources of their own ask for the defaults: checked under that name.
    per_rule = {"default-resources": {}, **(profile.get("set-resources") or {})}
    requests = [Request.of(name, 1, {**defaults, **own}) for name, own in per_rule.items()]
    return requests, profile.get("slurm-status-command")


def _integer(resources: Mapping[str, Any], key: str) -> int | None:
    value = resources.get(key)
    return value if isinstance(value, int) else None


def _text(resources: Mapping[str, Any], key: str) -> str | None:
    value = resources.get(key)
    return None if value in (None, "", "<TBD>") else str(value)
