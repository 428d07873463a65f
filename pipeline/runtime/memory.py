"""The peak memory of a stage: of all its processes together, not of its driver alone.

What is counted: this process, its descendants, and every other process of this machine that was
started with the stage's mark in its environment: daemons that left the process tree, and the ranks
of one MPI job beside each other (`cluster.mpi` marks them). Not counted: workers on other nodes,
and those of a Ray or Dask that was running before the stage joined it.

How: each process counts with its proportional set size (PSS), in which a page that k processes
share is 1/k of a page to each, so that the sum counts no page twice. The sum is *sampled*: every
second or few the resident sets are looked at, and where these have grown PSS is summed, which takes
the kernel some 20 ms a GB. A peak of a few seconds may be missed, so that the number is a lower
bound, but never less than the largest resident set of any single process, which the kernel keeps.
Where the system tells no PSS (other than Linux) resident sets are added.

Cost: a thread that sleeps 250 times as long as its last look took of a core, or more.
"""

import os
import platform
import resource
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

# Its value is the same in the environment of all processes of a stage, and in no other's.
MARK = "PIPELINE_STAGE_MARK"
INTERVAL_S = 1.0
_SHARE = 250
# Growth of what is resident that is worth a sum of PSS.
_GROWTH = 1.02
_PROC = Path("/proc")
_MIB = 2**20
_PAGE = resource.getpagesize()


def new_mark() -> dict[str, str]:
    """Return the environment that makes processes belong to one stage of their own."""
    return {MARK: uuid.uuid4().hex}


class Process(NamedTuple):
    """A process as the system lists it; `resident` in bytes, `started` in units of its own."""

    pid: int
    parent: int
    started: float
    resident: int


class Watch:
    """The largest sum of the memory of the stage's processes so far, in bytes."""

    def __init__(self, mark: str) -> None:
        self._entry = f"{MARK}={mark}".encode()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self._marked: dict[tuple[int, float], bool] = {}
        self._resident = 0
        self.peak = 0
        self.pause = INTERVAL_S

    def start(self) -> None:
        """Sample from now on, in a thread of its own, if the system has one more to give."""
        with suppress(RuntimeError):
            self._thread.start()

    def stop(self) -> None:
        """Take a last sample and end the thread."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def peak_mb(self) -> float:
        """Return the peak in MB of 2^20 bytes, as SLURM counts them."""
        return max(self.peak, *_largest_of_one()) / _MIB

    def _run(self) -> None:
        while True:
            started = time.thread_time()
            # What is measured must never end what is worth measuring.
            with suppress(OSError, psutil.Error, ValueError):
                self.look()
            self.pause = max(INTERVAL_S, _SHARE * (time.thread_time() - started))
            if self._over.is_set():
                return
            self._over.wait(self.pause)

    def look(self) -> None:
        """Take the present memory into account, if more is resident than at the last sum."""
        members = self.members()
        resident = sum(each.resident for each in members)
        if resident > _GROWTH * self._resident:
            self._resident = resident
            self.peak = max(self.peak, sum(map(proportional, members)))

    def members(self) -> list[Process]:
        """Return the processes of the stage."""
        left = {each.pid: each for each in _processes()}
        found = [left.pop(os.getpid())]
        found += [left.pop(pid) for pid in list(left) if self._is_marked(left[pid])]
        children: dict[int, list[Process]] = {}
        for each in left.values():
            children.setdefault(each.parent, []).append(each)
        for each in found:  # grows as descendants are found
            found += children.pop(each.pid, [])
        return found

    def _is_marked(self, process: Process) -> bool:
        # A process keeps the environment it was started with; numbers are used again.
        key = process.pid, process.started
        if key not in self._marked:
            self._marked[key] = False
            # Of other users' processes nothing can be read, and some end meanwhile.
            with suppress(OSError):
                environment = (_PROC / str(process.pid) / "environ").read_bytes().split(b"\0")
                self._marked[key] = self._entry in environment
        return self._marked[key]


@contextmanager
def watched() -> Iterator[Watch]:
    """Yield a watch of this process and of all that it starts within the block.

    Within a set of processes that is marked already, such as MPI ranks, of all of them.
    """
    before = os.environ.get(MARK)
    mark = before or new_mark()[MARK]
    os.environ[MARK] = mark
    watch = Watch(mark)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()
        if before is None:
            os.environ.pop(MARK, None)


def _processes() -> Iterator[Process]:
    """Yield all processes of this machine; reads one small file each."""
    if platform.system() != "Linux":
        for other in psutil.process_iter():
            with suppress(psutil.Error):
                facts = other.ppid(), other.create_time(), other.memory_info().rss
                yield Process(other.pid, *facts)
        return
    for name in filter(str.isdigit, os.listdir(_PROC)):
        with suppress(OSError):
            # The second field, a name in brackets, may hold anything (proc_pid_stat(5)).
            fields = (_PROC / name / "stat").read_bytes().rpartition(b")")[2].split()
            yield Process(int(name), int(fields[1]), int(fields[19]), int(fields[21]) * _PAGE)


def proportional(process: Process) -> int:
    """Return the proportional set size of a process in bytes; 0 if it has ended."""
    if platform.system() != "Linux":
        return process.resident
    with suppress(OSError):
        for line in (_PROC / str(process.pid) / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return 1024 * int(line.split()[1])
    return 0


def _largest_of_one() -> tuple[int, int]:
    """Return the largest resident set (bytes) of this process, and of a finished child."""
    unit = 1 if platform.system() == "Darwin" else 1024
    own = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with suppress(OSError):
        # The figure of getrusage holds what the process was before `exec`: its parent's size.
        status = (_PROC / "self" / "status").read_text(encoding="utf-8")
        lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
        own = 1024 * int(lines[0][1]) if lines else own
    return own, unit * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
