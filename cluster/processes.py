"""Ties between processes, so that whatever is killed leaves nothing behind (Linux)."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

import psutil

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_S = 5.0


def die_with_parent() -> Callable[[], None]:
    """Return a `preexec_fn`: the kernel sends SIGTERM to the new process when this one ends."""
    parent = os.getpid()

    def tie() -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # A parent that ended before it was asked for sends nothing any more.
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)

    return tie


def adopt_orphans() -> None:
    """Make this process the parent of each of its descendants that loses its own."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_descendants() -> None:
    """Ask all descendants of this process to end, then kill those left after some seconds."""
    children = psutil.Process().children(recursive=True)
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for child in children:
            with suppress(psutil.NoSuchProcess):
                send(child)
        psutil.wait_procs(children, timeout=_GRACE_S)
        # Some are new by now: a process may answer a signal by starting another.
        children = psutil.Process().children(recursive=True)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)
