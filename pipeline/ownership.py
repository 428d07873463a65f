"""One live Snakemake a folder: what a killed one leaves neither blocks nor disturbs the next.

Snakemake's own locks are files, which outlive a `kill -9` and then stop the next start; so do the
jobs it was running. The kernel forgets a `flock` with its holder, and tells of a process's end.
"""

import fcntl
import os
import select
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

OWNER = "PIPELINE_OWNER"
_held: list[IO[str]] = []


def claim(folder: Path) -> None:
    """Register this process as a live Snakemake of `folder` and drop the locks of dead ones.

    `folder` is Snakemake's `.snakemake`. While any registered process lives, its locks are left
    alone and do what they are for. Does nothing on a file system without `flock`.
    """
    os.environ[OWNER] = _identity(psutil.Process())
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        file = (folder / "alive").open("w")
        _held.append(file)  # closed, and so released, when this process ends
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            for lock in (folder / "locks").glob("*.lock"):
                lock.unlink()
        fcntl.flock(file, fcntl.LOCK_SH)


def follow_owner() -> None:
    """End this process (SIGKILL) as soon as the Snakemake that started it here has ended.

    A job that went on would write the same files as the job of the next Snakemake. A job on
    another machine, or started by hand, has no owner to follow.
    """
    owner = os.environ.get(OWNER, "")
    host, _, rest = owner.partition(" ")
    if host != socket.gethostname():
        return
    try:
        process = psutil.Process(int(rest.split()[0]))
        descriptor = os.pidfd_open(process.pid)
    except (psutil.NoSuchProcess, ProcessLookupError):
        _end()
    except (OSError, AttributeError):  # no pidfd on this system
        return
    if _identity(process) != owner:
        _end()
    threading.Thread(target=_follow, args=(descriptor,), daemon=True).start()


def _identity(process: psutil.Process) -> str:
    """Return host, process id and start time: an id alone is used again."""
    return f"{socket.gethostname()} {process.pid} {process.create_time()}"


def _follow(descriptor: int) -> None:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    poller.poll()
    _end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
