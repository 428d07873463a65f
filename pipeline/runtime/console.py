"""What a stage says: on the screen and in its log, with one line for any failure."""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.runtime import disk, failure, last_words, ours, ownership, terminal


@contextmanager
def stage(log: Path | str, output: Path | str, failed: Path | str | None = None) -> Iterator[None]:
    """Copy all output of this process and its children to `log` while showing it.

    The process ends with the Snakemake that started it.

    Args:
        log: file of the copy.
        output: what the stage writes; its file system is named if it is full.
        failed: where the report finds why the stage failed (`failure.path`), if it does.

    Raises:
        SystemExit: status 1 after printing one line: that of a `PipelineError`, or of a defect
            of ours, whose traceback is in `log` alone.
    """
    terminal.tolerate()
    ownership.follow_owner()
    record = Path(failed) if failed else None
    if record:
        # A process that is killed says nothing more: until it ends well, this is what is known.
        failure.write(record, reason=f"started, and has not ended: killed, or at work; see {log}")
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    # Copied below the level of Python's streams, so that workers' output is caught as well.
    _begin(Path(log))
    # In a session of its own: Ctrl-C would end the copy before the last words of the stage.
    tee = subprocess.Popen(["tee", "-a", str(log)], stdin=subprocess.PIPE, start_new_session=True)
    assert tee.stdin is not None
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    os.dup2(tee.stdin.fileno(), 1)
    os.dup2(tee.stdin.fileno(), 2)
    tee.stdin.close()
    # As on a terminal: into a pipe Python writes by whole blocks, minutes late.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    defect = ""
    try:
        with (
            last_words.on_behalf(f"process {os.getpid()}, log {log}"),
            disk.explained(Path(output)),
        ):
            yield
        if record:
            failure.clear(record)
    except PipelineError as error:
        _fail(str(error), record)
    except SystemExit as ending:
        # Ray answers SIGTERM so.
        if ending.code == signal.SIGTERM:
            _fail("ended by SIGTERM, as by scancel, a time limit or Snakemake's end", record)
        raise
    except Exception as error:
        defect = traceback.format_exc()
        told = failure.one_line(f"{type(error).__name__}: {error}")
        _fail(f"{told[:300]}; a defect: its traceback is in {log}", record)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for original, descriptor in zip(saved, (1, 2), strict=True):
            os.dup2(original, descriptor)
            os.close(original)
        # A helper process that outlives the stage (a resource tracker, say) may hold the pipe.
        with suppress(subprocess.TimeoutExpired):
            tee.wait(timeout=2)
        if defect:
            with suppress(OSError), Path(log).open("a", encoding="utf-8") as file:
                file.write(defect)


def _begin(log: Path) -> None:
    """Begin the log with the line by which the next start knows it as ours (`ours.is_log`)."""
    with suppress(OSError):  # a full disk: the stage itself has more to say about it
        log.write_text(f"{ours.LOG_LINE}\n", encoding="utf-8")


def _fail(reason: str, record: Path | None) -> None:
    print(f"error: {reason}", file=sys.stderr)
    if record:
        failure.write(record, reason=reason)
    sys.exit(1)
