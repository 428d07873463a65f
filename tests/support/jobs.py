"""What tests of jobs share: start them through Snakemake, look at their processes and records."""

import subprocess
from contextlib import suppress

import psutil
from harness import SMOKE
from virtual_cluster import environment, wait_until

from cluster.slurm_site import parse_records


def start(slurm, checkout, *arguments: str, files: tuple[str, ...] = (SMOKE,)) -> subprocess.Popen:
    """Start `snakemake --profile slurm`; what it says goes to `checkout`/out.txt."""
    command = checkout.command("--configfile", *files, "--profile", "slurm", *arguments, files=())
    with (checkout.root / "out.txt").open("a") as output:
        return subprocess.Popen(
            slurm.command(*command, cwd=checkout.root),
            env=environment(checkout.environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def said(checkout) -> str:
    return (checkout.root / "out.txt").read_text()


def jobs_of(slurm, checkout, rule: str = "") -> list[dict[str, str]]:
    """Return the controller's records of the jobs of this checkout, or of a rule, oldest first."""
    shown = slurm.run("scontrol", "show", "job", "--oneliner").stdout
    records = (x for x in parse_records(shown) if x.get("WorkDir") == str(checkout.root))
    mine = (x for x in records if x.get("Comment", "").startswith(f"rule_{rule}"))
    return sorted(mine, key=lambda x: int(x["JobId"]))


def running(slurm, words: str) -> dict[str, list[psutil.Process]]:
    """Return by node the processes of jobs that have `words` in their command line or title."""
    found: dict[str, list[psutil.Process]] = {}
    for node, machine in slurm.nodes.items():
        for process in machine.processes():
            try:
                if words in " ".join(process.cmdline()):
                    found.setdefault(node, []).append(process)
            except psutil.NoSuchProcess:
                continue
    return found


def assert_nothing_left(slurm) -> None:
    wait_until(lambda: not slurm.run("squeue", "--noheader").stdout, "the last job to end")
    wait_until(lambda: not left(slurm), lambda: f"these processes of jobs to end: {left(slurm)}")


def left(slurm) -> list[str]:
    """Return the processes of jobs, each by its node, state, ancestry and command line."""
    found = []
    for node, machine in slurm.nodes.items():
        for process in machine.processes():
            with suppress(psutil.NoSuchProcess):
                line = " ".join(process.cmdline())[:200]
                found.append(f"{node}: {process.pid} < {process.ppid()} {process.status()} {line}")
    return found
