"""Ties between processes, so that whatever is killed leaves nothing behind (Linux)."""

import ctypes
import signal
import sys
from contextlib import suppress

import psutil

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_S = 5.0


def die_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent ends; a `preexec_fn`."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


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
