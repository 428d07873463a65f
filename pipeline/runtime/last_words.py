"""A word for processes that cannot speak for themselves: killed, out of memory, crashed.

A process that gets SIGKILL says nothing, nor does one that gets SIGTERM in the middle of a long
computation outside Python. A shell of one line waits for it to end and speaks if it did so without
leave.
"""

import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_watchers: list[subprocess.Popen[bytes]] = []


@contextmanager
def on_behalf(what: str) -> Iterator[None]:
    """Have a line on standard error say so if this process ends inside the block.

    Args:
        what: names the process, as in "train ball: process 4711".
    """
    text = (
        f"error: {what}: ended from outside: killed for want of memory, at a time limit, by the"
        " batch system or by hand, or crashed; started again it goes on from what was saved"
    )
    try:
        # `read` fails when the pipe closes without a word: then this process has not dismissed it.
        watcher = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r word || printf "%s\\n" "$1" >&2', "last-words", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # what is sent to the process group is not for it
        )
    except OSError:  # no shell, or no more processes: less said, nothing lost
        yield
        return
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)
        _dismiss(watcher)
        watcher.wait()


def speak(line: str) -> None:
    """Write `line` to standard error, past all buffers, and have nobody else say why this ends.

    Never waits long: whoever reads standard error may be gone, or stopped.
    """
    for watcher in _watchers:
        _dismiss(watcher)
    with suppress(OSError, ValueError):
        if select.select([], [2], [], 1.0)[1]:
            os.write(2, f"{line}\n".encode(errors="backslashreplace"))


def _dismiss(watcher: subprocess.Popen[bytes]) -> None:
    assert watcher.stdin is not None
    with suppress(OSError, ValueError):
        watcher.stdin.write(b"done\n")
        watcher.stdin.close()
