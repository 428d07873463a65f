"""Folders and files of this user alone, whatever the umask and whoever else uses the machine.

Tokens, keys and sockets let their reader run code as this user, and so does a folder of compiled
programs that another may write to. What is new here has a name that nobody can foresee and the mode
0700 or 0600 from its first moment; what is used again is looked at first.
"""

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import PipelineError

_NAME = "highdim-pipeline"


@contextmanager
def scratch(prefix: str, longest: int | None = None, variable: str = "") -> Iterator[Path]:
    """Yield a new folder (0700) for as long as the block runs.

    It lies where the environment's `variable` says, else in the first place that can be written
    to: that of temporary files (TMPDIR), /tmp, XDG_RUNTIME_DIR, /var/tmp. Only places whose path
    has at most `longest` characters count: the path of a Unix socket has at most 107 bytes.

    Raises:
        PipelineError: there is no such place.
    """
    given = os.environ.get(variable, "")
    folder = _new(prefix, [given], longest, variable) if given else _new(prefix, _places(), longest)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cache(kind: str, *, programs: bool = False) -> Path:
    """Return a folder (0700) for what later runs use again.

    In XDG_CACHE_HOME or ~/.cache; where the home folder is missing or read-only, in one named by
    the user's number in a place for temporary files. A folder of another owner is not used, nor,
    for `programs`, one on a file system that does not let them be loaded.

    Raises:
        PipelineError: there is no place for it.
    """
    tops = [Path(place, f"{_NAME}-{os.geteuid()}") for place in _places()]
    with suppress(RuntimeError):  # no home folder in the environment or the list of users
        given = Path(os.environ.get("XDG_CACHE_HOME") or "")
        tops.insert(0, (given if given.is_absolute() else Path.home() / ".cache") / _NAME)
    refused = []
    for top in tops:
        with suppress(OSError):
            if top is tops[0]:
                # Not its parents: a home folder that is missing is not ours to make.
                top.parent.mkdir(exist_ok=True, mode=0o700)
            folder = own_folder(own_folder(top) / kind)
            if not programs or allows_programs(folder):
                return folder
            refused.append(folder)
    if refused:
        return refused[0]
    # All of them are there and another's: one that lasts as long as the machine has nothing else.
    return _new(f"{_NAME}-", _places())


def allows_programs(folder: Path) -> bool:
    """Return whether the file system that `folder` is on, or would be, lets programs be loaded."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return not os.statvfs(folder).f_flag & os.ST_NOEXEC


def own_folder(path: Path) -> Path:
    """Return the folder `path`, made (0700) if there is none.

    Raises:
        PermissionError: it is a link, another user's, or others may write to it.
        OSError: it cannot be made or written to.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{path}: expected a folder of this user alone, got another's")
    # Asked of the file system itself: root may write anywhere but to one mounted read-only.
    probe = path / f".{secrets.token_hex(8)}"
    probe.mkdir(mode=0o700)
    probe.rmdir()
    return path


def write(path: Path, text: str) -> None:
    """Write a new file that only this user can read (0600).

    Raises:
        FileExistsError: `path` is there already, whoever made it.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def is_private(path: Path) -> bool:
    """Return whether `path` is a file of this user that nobody else may read or write."""
    try:
        found = path.stat()
    except OSError:
        return False
    return (
        stat.S_ISREG(found.st_mode)
        and found.st_uid == os.geteuid()
        and not stat.S_IMODE(found.st_mode) & 0o077
    )


def _places() -> list[str]:
    """Return where temporary files may lie, each once, the best first."""
    with suppress(FileNotFoundError):  # none of Python's own candidates is usable
        usual = tempfile.gettempdir()
        places = [usual, "/tmp", os.environ.get("XDG_RUNTIME_DIR", ""), "/var/tmp"]
        return list(dict.fromkeys(place for place in places if place))
    return [place for place in (os.environ.get("XDG_RUNTIME_DIR"),) if place]


def _new(
    prefix: str, places: list[str], longest: int | None = None, variable: str = "TMPDIR"
) -> Path:
    """Return a new folder in the first of `places` that allows one."""
    refusals = []
    for place in places:
        if longest is not None and len(os.fsencode(place)) > longest:
            refusals.append(f"{place} has more than {longest} characters")
            continue
        try:
            base = Path(place)
            if not base.exists():
                base.mkdir(parents=True, mode=0o700)
            mode = base.stat().st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                refusals.append(f"{place} is anybody's to rename in")
                continue
            return Path(tempfile.mkdtemp(prefix=prefix, dir=base))  # 0700
        except OSError as error:
            refusals.append(f"{place}: {error.strerror}")
    raise PipelineError(
        f"{variable}: expected a place for the temporary folder {prefix}*, got:"
        f" {', '.join(refusals) or 'none'}; set {variable} to a short path that can be written to"
    )
