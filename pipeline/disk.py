"""Files that are whole or not there, and a full disk told in one line."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import DiskError

# No room on the file system, and none within the user's share of it.
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` at the end of the block.

    If the block fails, what it wrote is removed: on a full disk that is room for the next words.
    The name is this process's own, so that two writers never share a half-written file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        if temporary.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)
    except BaseException:
        _remove(temporary)
        raise


def sweep(folder: Path) -> None:
    """Remove what killed writers left half-written in `folder`; for its only writer to call."""
    for leftover in folder.glob(".*.tmp"):
        _remove(leftover)


def claim(state: Path, digest: str) -> Path:
    """Return the folder `state/<digest>`, and remove what other configurations left in `state`."""
    folder = state / digest[:16]
    if state.exists():
        for other in state.iterdir():
            if other != folder:
                _remove(other)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    return folder


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise a `DiskError` that names the file system of `path` if the block fails for want of room.

    Any other exception passes.
    """
    try:
        yield
    except Exception as error:
        if (found := want_of_room(error, path)) is None:
            raise
        raise found from error


def want_of_room(error: BaseException | None, path: Path) -> DiskError | None:
    """Return the one line for `error` if a full disk, or one it was raised from, caused it.

    `torch.save`, for one, raises a RuntimeError while it handles the OSError.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno in _FULL:
            return full(path, error.errno)
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def full(path: Path, reason: int = errno.ENOSPC) -> DiskError:
    """Return the one line that names the file system of `path` and how full it is."""
    mount = path.absolute()
    while not mount.exists() or not mount.is_mount():
        mount = mount.parent
    usage = shutil.disk_usage(mount)
    return DiskError(
        f"{path}: expected room on the file system {mount} ({usage.free >> 20} of"
        f" {usage.total >> 20} MiB free), got: {os.strerror(reason)};"
        " make room there and start again: what is finished is kept"
    )
