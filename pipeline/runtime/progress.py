"""Progress of a run from a worker to the screen: lines in a file that the driver follows."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_POLL_S = 0.3
_ERROR = "_standard_error"


@dataclass(frozen=True)
class Progress:
    """Where a run stands, for the screen and the metrics endpoint; rank 0 only.

    `figures` are the last ones of each kind, each beside its `<figure>_standard_error` if it has
    one: `loss` and those of the evaluations.
    """

    step: int
    num_steps: int
    epoch: float
    figures: dict[str, float]
    samples_per_second: float
    remaining_s: float


def line(name: str, progress: Progress) -> str:
    """Return one line for the screen and for a log."""
    width = len(str(progress.num_steps))
    figures = "".join(
        f"  {key} {_with_error(value, progress.figures.get(key + _ERROR))}"
        for key, value in progress.figures.items()
        if not key.endswith(_ERROR)
    )
    return (
        f"{name}: step {progress.step:>{width}}/{progress.num_steps}{figures}"
        f"  {progress.samples_per_second:,.0f} samples/s  {_remaining(progress.remaining_s)} left"
    )


def _with_error(value: float, error: float | None) -> str:
    """Return `value` to as many digits as its standard error leaves it, and that with one."""
    if error is None:
        return f"{value:.3e}"
    digits = 2
    if value and math.isfinite(value) and 0.0 < error < math.inf:
        digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(error))
    return f"{value:.{min(max(digits, 2), 6)}e} ± {error:.0e}"


def _remaining(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def write(file: Path, text: str) -> None:
    """Append a line to the file that the driver follows."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(text + "\n")


@contextmanager
def follow(file: Path) -> Iterator[None]:
    """Print what is appended to `file`, emptied first, until the end of the block."""
    file.write_text("", encoding="utf-8")
    done = threading.Event()
    thread = threading.Thread(target=_print_lines, args=(file, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _print_lines(file: Path, done: threading.Event) -> None:
    with file.open(encoding="utf-8") as stream:
        rest = ""
        while True:
            # Asked before the read, so that what was written up to the end is still printed.
            last = done.is_set()
            # The writer may be in the middle of a line.
            *lines, rest = (rest + stream.read()).split("\n")
            for text in lines:
                print(text, flush=True)
            if last:
                return
            time.sleep(_POLL_S)
