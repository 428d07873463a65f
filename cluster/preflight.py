"""Find what would stop or hang jobs on a SLURM site, before any job is submitted.

`snakemake --profile slurm` checks every planned job first. By hand, for a profile alone:

    python -m cluster.preflight [PROFILE] [--probe]

prints one line per problem and exits with 1 if there is any. What only a retry would run into is
a warning: the first attempt may do. `--probe` also runs a one-minute job
that proves that compute nodes share this folder and that `srun --mpi=pmix` starts one world.
"""

import argparse
import getpass
import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cluster import slurm_site
from cluster.slurm_request import Request, read_profile
from cluster.slurm_site import Node, Partition, Site
from pipeline.errors import ClusterError
from pipeline.runtime import terminal

# Snakemake looks every 3 minutes at the latest; a job that squeue forgot is waited for for ever.
MIN_JOB_AGE_S = 240
_PROFILE = Path("slurm/config.yaml")
_PROGRAMS = ("sbatch", "srun", "scancel", "scontrol", "squeue")
_SITE_SETTINGS = "cluster/slurm/config.yaml"


@dataclass(frozen=True)
class Findings:
    """One line for each thing that would stop or hang the jobs, and for each that retries meet."""

    problems: list[str]
    warnings: list[str] = field(default_factory=list)


def check(requests: Iterable[Request], status_command: str | None) -> Findings:
    """Return what would go wrong with the jobs on this site.

    Args:
        requests: what the jobs ask for, retries included.
        status_command: how Snakemake follows jobs, `sacct` or `squeue`; None if unknown.
    """
    try:
        _check_reachable()
        site = slurm_site.read_site(_user())
    except ClusterError as error:
        return Findings([str(error)])
    distinct = set(requests)
    # Only first attempts stop a run: a later one may never be needed.
    first = list(_requests(site, (x for x in distinct if x.attempt == 1)))
    retries = [
        line
        for attempt in sorted({x.attempt for x in distinct} - {1})
        for line in _requests(site, (x for x in distinct if x.attempt == attempt))
    ]
    silence = [_unchecked(site)] if site.silence else []
    return Findings([*_following(site, status_command), *first], [*silence, *retries])


def _user() -> str:
    """Return the user's name, or number where the system has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _unchecked(site: Site) -> str:
    return (
        f"sacctmgr: expected the accounts of {_user()}, got: {site.silence};"
        " jobs run all the same, but whether they may use an account (slurm_account) is not checked"
    )


def _check_reachable() -> None:
    """Return if the controller answers here, and would answer inside a Snakemake job.

    Raises:
        ClusterError: with the complete line for the user.
    """
    paths = [Path(x) for x in os.environ.get("PATH", "").split(os.pathsep)]
    missing = [x for x in _PROGRAMS if not any(os.access(path / x, os.X_OK) for path in paths)]
    if missing:
        raise ClusterError(
            f"PATH: expected SLURM's commands, got no {', '.join(missing)};"
            " work on a login node, or load the site's slurm module"
        )
    try:
        slurm_site.ask("scontrol", "ping")
    except ClusterError as error:
        raise ClusterError(
            f"scontrol ping: expected a controller that answers, got: {error};"
            " set SLURM_CONF to the site's slurm.conf, or ask whether SLURM is down"
        ) from None
    try:
        slurm_site.ask("scontrol", "ping", env=slurm_site.without_slurm_variables())
    except ClusterError:
        raise ClusterError(
            "SLURM_CONF: expected a configuration that is found without it, because Snakemake"
            f" removes SLURM_* inside jobs, got {os.environ.get('SLURM_CONF')};"
            " have it at /etc/slurm/slurm.conf, or put an srun on PATH that sets it"
        ) from None


def _following(site: Site, status_command: str | None) -> Iterator[str]:
    """Yield why Snakemake would not notice the end of a job."""
    if status_command == "sacct" and not site.has_accounting:
        yield (
            "slurm-status-command: expected squeue, because this site keeps no accounting,"
            f" got sacct; set it in {_SITE_SETTINGS}"
        )
    elif status_command == "sacct" and site.silence:
        yield (
            "slurm-status-command: expected squeue while the database of jobs is silent, got sacct,"
            f" which would never see a job end ({site.silence}); set it in {_SITE_SETTINGS}"
        )
    if status_command == "squeue" and site.min_job_age_s < MIN_JOB_AGE_S:
        remedy = (
            f"set slurm-status-command: sacct in {_SITE_SETTINGS}"
            if site.has_accounting
            else "ask the administrators to raise it"
        )
        yield (
            f"MinJobAge: expected at least {MIN_JOB_AGE_S} s for squeue to show ended jobs,"
            f" got {site.min_job_age_s} s; {remedy}"
        )


def _requests(site: Site, requests: Iterable[Request]) -> Iterator[str]:
    """Yield the problems of the requests, each once with the rules that have it."""
    # In order, so that the same problems are told in the same lines.
    distinct = sorted(set(requests), key=lambda x: x.rule)
    pmix = _pmix() if any("pmix" in request.mpi for request in distinct) else None
    rules: dict[str, list[str]] = {}
    for request in distinct:
        found = [*_account(site, request), *_placement(site, request)]
        if pmix and "pmix" in request.mpi:
            found.append(pmix)
        for problem in found:
            again = f" (attempt {request.attempt})" if request.attempt > 1 else ""
            rules.setdefault(problem, []).append(request.rule + again)
    for problem, names in rules.items():
        yield f"{', '.join(dict.fromkeys(names))}: {problem}"


def _account(site: Site, request: Request) -> Iterator[str]:
    """Yield why the account would be refused."""
    if request.account is None:
        return
    remedy = f"change it in {_SITE_SETTINGS}"
    if not site.has_accounting:
        yield (
            "slurm_account: expected none, because this site keeps no accounts,"
            f" got {request.account}; remove it from {_SITE_SETTINGS}"
        )
    elif site.accounts and request.account not in site.accounts:
        valid = ", ".join(sorted(site.accounts))
        yield f"slurm_account: expected one of {valid}, got {request.account}; {remedy}"


def _placement(site: Site, request: Request) -> Iterator[str]:
    """Yield why no node of the partition would ever run the job."""
    remedy = f"change it in {_SITE_SETTINGS}"
    if request.partition is None:
        partition = next((x for x in site.partitions.values() if x.is_default), None)
        got = "none, and the site has no default"
    else:
        partition, got = site.partitions.get(request.partition), request.partition
    if partition is None:
        valid = ", ".join(sorted(site.partitions))
        yield f"slurm_partition: expected one of {valid}, got {got}; {remedy}"
        return
    where = f"in partition {partition.name}"
    if partition.state != "UP":
        yield f"slurm_partition: expected one that is UP, got {got}, {partition.state}; {remedy}"
    if (request.runtime or 0) > partition.max_minutes:
        limit = f"at most {partition.max_minutes:.0f} minutes {where}"
        yield f"runtime: expected {limit}, got {request.runtime}; {remedy}"
    # Limits are often wider than the partition itself.
    max_nodes = min(partition.max_nodes, len(partition.nodes))
    if request.nodes > max_nodes:
        yield f"nodes: expected at most {max_nodes:.0f} {where}, got {request.nodes}; {remedy}"
    else:
        yield from _size(partition, request, f"{where}; {remedy}")


def _size(partition: Partition, request: Request, ending: str) -> Iterator[str]:
    """Yield what of a node's share of the job is more than enough nodes have."""
    # The largest share of a node, where nodes do not divide the job evenly.
    cpus, gpus = -(-request.cpus // request.nodes), -(-request.gpus // request.nodes)
    memory = request.memory_mb or 0
    if memory > partition.max_memory_mb:
        limit = f"at most {partition.max_memory_mb:.0f} for each node"
        yield f"mem_mb: expected {limit}, got {memory} {ending}"

    def offers(node: Node) -> bool:
        return node.cpus >= cpus and node.memory_mb >= memory and node.gpus >= gpus

    fitting = sum(map(offers, partition.nodes))
    if fitting >= request.nodes:
        return
    wanted = f"{cpus} CPUs, {memory} MB" + (f", {gpus} GPUs" if gpus else "")
    largest = ", ".join(
        f"{max((getattr(x, key) for x in partition.nodes), default=0)} {unit}"
        for key, unit in (("cpus", "CPUs"), ("memory_mb", "MB"), ("gpus", "GPUs"))
    )
    yield (
        f"resources: expected at most what {request.nodes} of {len(partition.nodes)} nodes have"
        f" (largest: {largest}), got {wanted} for each {ending}"
    )


def _pmix() -> str | None:
    """Return why `srun --mpi=pmix` fails here, None if it works.

    `srun --mpi=list` names the plugin even where the PMIx library it loads is missing, and a
    program started without it runs as many worlds of size 1.
    """
    try:
        slurm_site.ask("srun", "--mpi=pmix", "--test-only", "--ntasks=1", "true")
    except ClusterError as error:
        # Another refusal, of a limit or a partition, says nothing about PMIx.
        if "mpi" in str(error).lower():
            return (
                f"mpi: expected srun to load PMIx, got: {error};"
                " install libpmix beside SLURM, or set mpi to mpirun"
            )
    return None


def probe(requests: Iterable[Request], folder: Path) -> list[str]:
    """Return what a small job in each partition of the requests finds wrong.

    It copies a new file of `folder` to another name there; where srun loads PMIx, it also counts
    the ranks of a world of two. Waits in the queue for up to five minutes.
    """
    found = []
    for partition in sorted({request.partition or "" for request in requests}):
        where = [f"--partition={partition}"] if partition else []
        limits = [*where, "--time=1", "--immediate=300", "--mem=100"]
        try:
            _probe_folder(folder, limits)
            _probe_ranks(limits)
        except ClusterError as error:
            found.append(f"probe in partition {partition or '(default)'}: {error}")
    return found


def _probe_folder(folder: Path, limits: list[str]) -> None:
    """Return if a node reads and writes `folder`; raise `ClusterError` if not."""
    # A new name, of which no cache of a node can know anything.
    question = folder / f".preflight-{secrets.token_hex(4)}"
    answer = question.with_suffix(".answer")
    question.write_text(question.name, encoding="utf-8")
    try:
        slurm_site.ask("srun", *limits, "--ntasks=1", "cp", question, answer, timeout_s=400)
        if not answer.exists():
            raise ClusterError("the copy made by the node is not here")
    except ClusterError as error:
        raise ClusterError(
            f"expected a node that reads and writes {folder}, got: {error};"
            " work on a file system that the nodes share"
        ) from None
    finally:
        question.unlink()
        answer.unlink(missing_ok=True)


def _probe_ranks(limits: list[str]) -> None:
    """Return if two PMIx ranks make one world, or PMIx is not here; else raise `ClusterError`."""
    if _pmix() is not None:
        return
    command = ("srun", *limits, "--mpi=pmix", "--ntasks=2", "printenv", "PMIX_RANK")
    ranks = sorted(slurm_site.ask(*command, timeout_s=400).split())
    if ranks != ["0", "1"]:
        raise ClusterError(
            f"expected PMIx ranks 0 and 1, got {' and '.join(ranks) or 'none'};"
            " set mpi to mpirun, or ask the administrators to repair PMIx"
        )


def main() -> int:
    """Check a profile; print one line per problem and return 1 if there is any."""
    terminal.tolerate()
    parser = argparse.ArgumentParser(prog="python -m cluster.preflight")
    parser.add_argument("profile", nargs="?", type=Path, default=_PROFILE)
    parser.add_argument("--probe", action="store_true", help="also run a one-minute job")
    arguments = parser.parse_args()
    try:
        requests, status_command = read_profile(arguments.profile)
        findings = check(requests, status_command)
    except ClusterError as error:
        findings = Findings([str(error)])
    found = findings.problems
    for warning in findings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if arguments.probe and not found:
        found = probe(requests, Path.cwd())
    print("\n".join(found) or "preflight: no problem found", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
