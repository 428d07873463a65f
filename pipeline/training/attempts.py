"""Which failures of a training process are worth another attempt; one line to tell of the others.

    <folder>/error.txt       the error that no retry can cure: its type, and its line
    <folder>/failed.json     the line of the last failure that was tried again, and the snapshot
    <folder>/traceback.txt   of the failure that ended the run, for whoever looks for a defect

Training is a function of configuration, seed and step, so a failure in our own process comes again
at the same step. Another attempt may help where something outside failed: a lost process or node, a
connection, a file system for a moment. Even that is given up if the same failure comes again
without a snapshot in between.
"""

import errno
import json
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from pipeline import errors
from pipeline.errors import PipelineError, TrainingError, brief
from pipeline.runtime import disk
from pipeline.training.saved import snapshot

_ERROR, _FAILED, _TRACEBACK = "error.txt", "failed.json", "traceback.txt"
# What a network file system or a connection raises while a server is away.
_PASSING = (errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.ENOTCONN)
# How the backends of process groups tell that another rank has gone.
_LOST = ("gloo", "nccl", "connection closed", "connection reset", "cuda error")


def begin(folder: Path) -> None:
    """Forget the failures of an earlier start; for the driver to call."""
    for name in (_ERROR, _FAILED, _TRACEBACK):
        (folder / name).unlink(missing_ok=True)


def is_over(folder: Path) -> bool:
    """Return whether a process has failed in a way that no retry can cure."""
    return (folder / _ERROR).exists()


def give_up(folder: Path, error: PipelineError) -> bool:
    """Have the run end with `error`; return whether it is the first one of all processes."""
    try:
        # Exclusively: of several processes that fail, the first one's error is told.
        with (folder / _ERROR).open("x", encoding="utf-8") as file:
            file.write(f"{type(error).__name__}\n{error}")
    except FileExistsError:
        return False
    except OSError:  # on a full disk the file stays empty
        pass
    return True


def note(folder: Path, name: str, error: Exception) -> None:
    """Note an unforeseen failure of a process; give the run up unless another attempt may help."""
    failed = {"line": brief(error), "snapshot": snapshot.stamp(folder)}
    # The same line after the same snapshot: the last attempt has gained nothing.
    if is_passing(error) and _last(folder) != failed:
        with suppress(OSError), disk.replacing(folder / _FAILED) as temporary:
            temporary.write_text(json.dumps(failed), encoding="utf-8")
        return
    place = folder / _TRACEBACK
    told = TrainingError(f"runs.{name}: {failed['line']}; the traceback is in {place}")
    if give_up(folder, told):
        with suppress(OSError):
            place.write_text("".join(traceback.format_exception(error)), encoding="utf-8")


def is_passing(error: BaseException) -> bool:
    """Return whether `error` may be gone at the next attempt: not of our process's own making."""
    if isinstance(error, ConnectionError | TimeoutError | torch.distributed.DistError):
        return True
    # A RuntimeError, too, but of our own: the same step takes the same memory again.
    if isinstance(error, torch.OutOfMemoryError):
        return False
    if isinstance(error, OSError):
        return error.errno in _PASSING
    return isinstance(error, RuntimeError) and any(x in str(error).lower() for x in _LOST)


def raise_foreseen(folder: Path) -> None:
    """Raise the error that no retry can cure, if a process has left one."""
    try:
        kind, _, text = (folder / _ERROR).read_text(encoding="utf-8").partition("\n")
    except FileNotFoundError:
        return
    # The disk was too full for the error itself.
    if not text:
        raise disk.full(folder)
    raise getattr(errors, kind)(text)


def why(folder: Path, error: BaseException) -> str:
    """Return one line for `error`, with which Ray gave up: a process's own line if it left one."""
    last = _last(folder)
    if last is not None and isinstance(last.get("line"), str):
        return str(last["line"])
    causes = list(getattr(error, "worker_failures", {}).values())
    return brief(causes[0] if causes else error)


def _last(folder: Path) -> dict[str, Any] | None:
    try:
        content = json.loads((folder / _FAILED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
