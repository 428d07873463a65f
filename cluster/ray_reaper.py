"""Clean up after a driver of Ray or Dask that was killed.

Run as a script with a folder and process ids; standard input is a pipe held open by the driver.
A driver that ends in order writes a line first. If the pipe closes without one, the driver was
killed: Ray's own processes then follow it within seconds, but its agents try for about a minute
to reach the dead control store. The listed processes are killed, the folder is removed, and a line
on standard error says so.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_GRACE_S = 3.0


@contextmanager
def guard(folder: Path) -> Iterator[None]:
    """Have the present descendants of this process killed, and `folder` removed, if it dies."""
    descendants = [str(child.pid) for child in psutil.Process().children(recursive=True)]
    watcher = subprocess.Popen(
        # By its path: as a module it would import the package first, and needs none of it.
        [sys.executable, __file__, str(folder), str(os.getpid()), *descendants],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # a signal to the driver's process group must not stop it
    )
    assert watcher.stdin is not None
    try:
        yield
    finally:
        with contextlib.suppress(BrokenPipeError):
            watcher.stdin.write(b"done\n")
            watcher.stdin.close()
        watcher.wait()


def main(folder: str, driver: str, *pids: str) -> None:
    """Wait for the driver's end; see the module's docstring."""
    # At once, while the numbers still mean these processes.
    processes = [found for pid in pids if (found := _Handle.of(int(pid)))]
    if sys.stdin.readline():
        return
    time.sleep(_GRACE_S)
    for process in processes:
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        print(
            f"process {driver} was killed: what it had started is ended, {folder} removed",
            file=sys.stderr,
            flush=True,
        )


class _Handle:
    """A process that is told apart from a later one with its number, whatever the clock does."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._descriptor = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None

    @classmethod
    def of(cls, pid: int) -> "_Handle | None":
        """Return that of the process `pid`; None if there is none."""
        try:
            return cls(pid)
        except (psutil.Error, OSError):
            return None

    def kill(self) -> None:
        """Kill the process, if it is still there."""
        with contextlib.suppress(psutil.Error, OSError):
            if self._descriptor is None:
                self._process.kill()  # compares start times
            else:
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
