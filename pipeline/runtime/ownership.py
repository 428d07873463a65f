"""One live Snakemake and one writer a folder: a killed one neither blocks nor disturbs the next.

Snakemake's own locks are files, which outlive a `kill -9` and then stop the next start; so do the
jobs it was running. The kernel forgets a `flock` with its holder, and tells of a process's end.
"""

import fcntl
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from pipeline.errors import PipelineError
from pipeline.runtime import last_words

OWNER = "PIPELINE_OWNER"
PATIENCE_S = 300.0
_POLL_S = 0.1
_held: list[IO[str]] = []


def claim(folder: Path) -> None:
    """Register this process as a live Snakemake of `folder` and drop the locks of dead ones.

    `folder` is Snakemake's `.snakemake`. While any registered process lives, its locks are left
    alone and do what they are for. Does nothing on a file system without `flock`.
    """
    os.environ[OWNER] = _identity(os.getpid())
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        file = (folder / "alive").open("w", encoding="utf-8")
        _held.append(file)  # closed, and so released, when this process ends
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            # Every live Snakemake shares the lock, so whoever gets it alone is the only one.
            for lock in (folder / "locks").glob("*.lock"):
                lock.unlink()
        fcntl.flock(file, fcntl.LOCK_SH)


def follow_owner() -> None:
    """End this process (SIGKILL) as soon as the Snakemake that started it here has ended.

    One line on standard error says so. A job that went on would write the same files as the job of
    the next Snakemake. A job on another machine, in a container of its own, or started by hand,
    has no owner to follow.
    """
    owner = os.environ.get(OWNER, "")
    if owner.rpartition(" ")[0].rpartition(" ")[0] != _place():
        return
    pid = int(owner.split()[-2])
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        _end(pid)
    except (OSError, AttributeError):  # no pidfd on this system
        return
    # Asked with the descriptor open: from here on the number cannot pass to another process.
    if _identity(pid) != owner:
        _end(pid)
    threading.Thread(target=_follow, args=(descriptor, pid), daemon=True).start()


@contextmanager
def alone(folder: Path, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Keep every other process out of the block for `folder`; `<folder>.lock` names the holder.

    SLURM may take a node that lost its connection for a dead one and start its job elsewhere; both
    would write the same files. The second waits. Does nothing on a file system without `flock`.

    Raises:
        PipelineError: another process still holds the folder after `patience_s`.
    """
    path = folder.with_name(f"{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience_s
    while True:
        with path.open("ab", buffering=0) as file:
            while not _locked(file):
                if time.monotonic() > deadline:
                    holder = path.read_text(encoding="utf-8") or "another"
                    raise PipelineError(
                        f"{folder}: expected to be the only writer, got {holder} still at work;"
                        " wait for it or end it"
                    )
                time.sleep(_POLL_S)
            if not _is_at(file, path):
                continue  # opened before its last holder removed it
            try:
                _sign(file)
                yield
            finally:
                # Still locked: who waits for it then finds that its file is no longer at the path.
                path.unlink(missing_ok=True)
            return


def _locked(file: IO[bytes]) -> bool:
    """Lock `file` unless another process holds it; the kernel forgets the lock with its holder."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no `flock` on this file system
        pass
    return True


def _sign(file: IO[bytes]) -> None:
    """Write who holds the lock, for those who wait."""
    job = os.environ.get("SLURM_JOB_ID")
    holder = f"process {os.getpid()} on {socket.gethostname()}" + (f", job {job}" if job else "")
    with suppress(OSError):  # a full disk; the lock holds without a name
        file.truncate(0)
        file.write(holder.encode())


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _place() -> str:
    """Return where a number means the same process: this start of the system, this container.

    Names of hosts change while they run, and containers share one.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()} -"


def _identity(pid: int) -> str:
    """Return place, number and start of a process: a number alone is used again.

    The start is counted from that of the system. psutil's `create_time` is a time of day, and
    moves when the clock is set.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        # The name of the program, in brackets, may hold blanks and brackets.
        started = stat.rpartition(")")[2].split()[19]
    except OSError:
        try:
            started = str(psutil.Process(pid).create_time())
        except psutil.Error:
            started = "ended"
    return f"{_place()} {pid} {started}"


def _follow(descriptor: int, pid: int) -> None:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    poller.poll()
    _end(pid)


def _end(owner: int) -> None:
    last_words.speak(
        f"error: process {os.getpid()}: ended, because the Snakemake that started it (process"
        f" {owner}) has ended; start Snakemake again to go on from what was saved"
    )
    os.kill(os.getpid(), signal.SIGKILL)
