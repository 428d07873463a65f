"""Clean up after a local Ray session whose driver was killed.

Run as a script with a folder and process ids; standard input is a pipe held open by the driver.
A driver that ends in order writes a line first. If the pipe closes without one, the driver was
killed: Ray's own processes then follow it within seconds, but its agents try for about a minute
to reach the dead control store. The listed processes are killed and the folder is removed.
"""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

_GRACE_S = 3.0


@contextmanager
def guard(folder: Path) -> Iterator[None]:
    """Have the present descendants of this process killed, and `folder` removed, if it dies."""
    descendants = [str(child.pid) for child in psutil.Process().children(recursive=True)]
    watcher = subprocess.Popen(
        [sys.executable, __file__, str(folder), *descendants],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
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


def main(folder: str, *pids: str) -> None:
    """Wait for the driver's end; see the module's docstring."""
    processes = list(_running(pids))
    if sys.stdin.readline():
        return
    time.sleep(_GRACE_S)
    for process in processes:
        # psutil compares start times: a reused process id is left alone.
        with contextlib.suppress(psutil.Error):
            process.kill()
    shutil.rmtree(folder, ignore_errors=True)


def _running(pids: Sequence[str]) -> Iterator[psutil.Process]:
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            yield psutil.Process(int(pid))


if __name__ == "__main__":
    main(*sys.argv[1:])
