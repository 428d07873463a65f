"""What a stage says: on the screen and in its log, with one line for a foreseen failure."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline import disk, ownership, terminal
from pipeline.errors import PipelineError


@contextmanager
def stage(log: Path | str, output: Path | str) -> Iterator[None]:
    """Copy all output of this process and its children to `log` while showing it.

    The process ends with the Snakemake that started it.

    Args:
        log: file of the copy.
        output: what the stage writes; its file system is named if it is full.

    Raises:
        SystemExit: status 1 after printing the one line of a `PipelineError`.
    """
    terminal.tolerate()
    ownership.follow_owner()
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    # Copied below the level of Python's streams, so that workers' output is caught as well.
    tee = subprocess.Popen(["tee", str(log)], stdin=subprocess.PIPE, start_new_session=True)
    assert tee.stdin is not None
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    os.dup2(tee.stdin.fileno(), 1)
    os.dup2(tee.stdin.fileno(), 2)
    tee.stdin.close()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        with disk.explained(Path(output)):
            yield
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        # A helper process that outlives the stage (a resource tracker, say) may hold the pipe.
        with suppress(subprocess.TimeoutExpired):
            tee.wait(timeout=2)
