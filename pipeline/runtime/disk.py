"""Files that are whole or not there, and a full disk told in one line.

Nothing here removes what the pipeline did not make: a link or a folder where a file of ours belongs
is refused, and a folder is removed only by a caller who knows it as its own.
"""

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import DiskError, PlaceError

# No room on the file system, and none within the user's share of it.
_FULL = (errno.ENOSPC, errno.EDQUOT)
# What `replacing` and `remove` call what is not whole, with the number of the process.
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the temporary name of a file beside `path`; rename it to `path` at the end.

    If the block fails, what it wrote is removed: on a full disk that is room for the next words.
    The name is this process's own, so that two writers never share a half-written file.

    Raises:
        PlaceError: something else than a file stands at `path`.
    """
    check_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def check_file(path: Path) -> None:
    """Raise `PlaceError` if a link, a folder or a device stands where a file is to be written."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if stat.S_ISREG(mode):
        return
    got = "a folder" if stat.S_ISDIR(mode) else "something else"
    if stat.S_ISLNK(mode):
        got = f"a link to {os.readlink(path)}"
    raise PlaceError(
        f"{path}: expected a file of this pipeline or nothing, got {got}; move it away"
        " (a folder above it may be a link)"
    )


def check_folder(path: Path) -> None:
    """Return if files can be made in `path`, which may be a link to a folder, or missing.

    Raises:
        PlaceError: a file or a link to nothing is there or above it, or it may not be written to.
    """
    for folder in (path, *path.parents):
        # The first that exists decides: what is below it will be made.
        if folder.is_dir():
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PlaceError(
                    f"{path}: expected a folder that can be written to, got {folder}, which cannot;"
                    " change its permissions, or work in another folder"
                )
            return
        if folder.is_symlink():
            raise PlaceError(
                f"{folder}: expected a folder, got a link to {os.readlink(folder)}, where there is"
                " none; make that folder or remove the link"
            )
        if folder.exists():
            raise PlaceError(f"{folder}: expected a folder, got a file; move it away")


def check_room(path: Path, num_bytes: int, num_files: int) -> None:
    """Return if the file system of `path` has room for so much; what is there already not counted.

    Raises:
        DiskError: it has not, with both numbers.
    """
    found = os.statvfs(next(folder for folder in (path, *path.parents) if folder.exists()))
    # What a user may fill: the part that is reserved for root does not count.
    free = found.f_bavail * found.f_frsize
    if free < num_bytes:
        raise DiskError(
            f"{path}: expected room for about {num_bytes / 1e6:,.0f} MB on the file system"
            f" {mount_of(path)}, got {free / 1e6:,.0f} MB; make room there or let {path} be a link"
            " to an empty folder elsewhere"
        )
    # Some file systems have no table of inodes and say 0.
    if found.f_files and found.f_favail < num_files:
        raise DiskError(
            f"{path}: expected room for {num_files:,} files on the file system {mount_of(path)},"
            f" got {found.f_favail:,} (inodes); make larger shards or remove small files"
        )


def sweep(folder: Path) -> None:
    """Remove what killed writers left half-written in `folder`; for its only writer to call."""
    for leftover in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(leftover.name):
            remove(leftover)


def remove(path: Path) -> None:
    """Remove a file, a link (not what it leads to), or a folder that the caller has made.

    A folder is renamed first, so that a kill does not leave half of it under its name.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    if not _TEMPORARY.fullmatch(path.name):
        going = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with suppress(OSError):
            path = path.rename(going)
    shutil.rmtree(path, ignore_errors=True)


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
    # A chain of exceptions can lead back to itself.
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno in _FULL:
            return full(path, error.errno)
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def full(path: Path, reason: int = errno.ENOSPC) -> DiskError:
    """Return the one line that names the file system of `path` and how full it is."""
    mount = mount_of(path)
    usage = shutil.disk_usage(mount)
    return DiskError(
        f"{path}: expected room on the file system {mount} ({usage.free >> 20} of"
        f" {usage.total >> 20} MiB free), got: {os.strerror(reason)};"
        " make room there and start again: what is finished is kept"
    )


def mount_of(path: Path) -> Path:
    """Return where the file system that holds `path` is mounted, links followed."""
    mount = path.resolve()
    while not mount.exists() or not mount.is_mount():
        mount = mount.parent
    return mount
