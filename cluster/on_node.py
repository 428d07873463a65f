"""Run a command for as long as standard input stays open: `python -m cluster.on_node COMMAND ...`.

Whoever started this through `srun` holds the other end of that pipe, so the command ends when its
maker does, in order or by `kill -9`. All its descendants end too, those included that left the
process group or lost their parent: what outlives a job takes memory and ports from the next one.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from cluster import processes


def main() -> int:
    """Run the command to its end, or to that of the input; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m cluster.on_node")
    parser.add_argument("--scratch", type=Path, help="a folder made for the command and removed")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    processes.adopt_orphans()
    if arguments.scratch:
        # Whatever the umask, nobody else looks in; what is there already is another's.
        for parent in reversed(arguments.scratch.parents):
            parent.mkdir(mode=0o700, exist_ok=True)
        arguments.scratch.mkdir(mode=0o700)
    try:
        threading.Thread(target=_end_with_input, daemon=True).start()
        return subprocess.run(
            arguments.command,
            stdin=subprocess.DEVNULL,
            preexec_fn=processes.die_with_parent(),
            check=False,
        ).returncode
    finally:
        # A second signal must not cut this short.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        processes.end_descendants()
        if arguments.scratch:
            shutil.rmtree(arguments.scratch, ignore_errors=True)


def _end_with_input() -> None:
    # Not `sys.stdin`: a thread that waits in it would break the interpreter's own end.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
