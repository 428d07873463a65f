"""The state of unfinished work: a folder for each identity, the newest others kept aside.

    <state>/<digest>/              what one identity of a run or search has reached
    <state>/<digest>/reached.txt   how far, in words: "step 2000 of 20000"

An identity is a digest of all that shapes the numbers. Work that was interrupted and then changed
is not thrown away: going back to the old configuration goes on from where it stopped. What is kept
is limited (`MOST_STATES`, `MOST_BYTES`), and every removal is told. Nothing else in a folder of
states is ever touched.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.runtime import disk

MOST_STATES = 3
MOST_BYTES = 20 * 2**30
_NAME = re.compile(r"[0-9a-f]{16}")
_REACHED = "reached.txt"


def claim(state: Path, digest: str, work: str) -> Path:
    """Return the folder of `digest` in `state`; keep those of others, within the limits.

    Args:
        state: folder of all states of one run or search; for its only user to call.
        digest: of what shapes the numbers, hex.
        work: what it is the state of, as in "train ball_sdgd", for what is printed.
    """
    folder = state / short(digest)
    disk.sweep(state)
    if state.exists():
        others = [path for path in state.iterdir() if _is_state(path) and path != folder]
        trim(others, work)
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)  # the age of a state is since its last use
    disk.sweep(folder)
    return folder


def release(state: Path, digest: str) -> None:
    """Remove the folder of finished work, and `state` with it if that was all and no link."""
    disk.remove(state / short(digest))
    disk.sweep(state)
    if not state.is_symlink():
        with suppress(OSError):  # others are kept
            state.rmdir()


def trim(others: Sequence[Path], work: str) -> None:
    """Keep the newest of `others`, within the limits; print what is kept and what is removed."""
    newest_first = sorted(others, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    total = 0
    for index, folder in enumerate(newest_first):
        # What is removed counts as well: nothing older than it is kept, however small.
        total += size_of(folder)
        if index < MOST_STATES and total <= MOST_BYTES:
            print(
                f"{work}: state of another configuration kept in {_shown(folder)}{_told(folder)}",
                flush=True,
            )
            continue
        print(
            f"{work}: state of another configuration removed: {_shown(folder)}{_told(folder)}; the"
            f" newest {MOST_STATES} are kept, and {MOST_BYTES >> 30} GiB",
            flush=True,
        )
        disk.remove(folder)


def set_reached(folder: Path, text: str) -> None:
    """Note in the state `folder` how far its work has come, for whoever finds it later."""
    with disk.replacing(folder / _REACHED) as temporary:
        temporary.write_text(text, encoding="utf-8")


def reached(folder: Path) -> str:
    """Return how far the work of the state `folder` has come, in words; empty if unknown."""
    try:
        return " ".join((folder / _REACHED).read_text(encoding="utf-8")[:200].split())
    except (OSError, ValueError):
        return ""


def short(digest: str) -> str:
    """Return the name of the folder of a state."""
    return digest[:16]


def size_of(folder: Path) -> int:
    """Return the bytes of all files in `folder`; links are not followed."""
    total = 0
    for where, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_size
    return total


def _is_state(path: Path) -> bool:
    return bool(_NAME.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()


def _told(folder: Path) -> str:
    return f" ({found})" if (found := reached(folder)) else ""


def _shown(folder: Path) -> Path:
    """Return `folder` as the user would write it."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
