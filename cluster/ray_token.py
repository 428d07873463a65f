"""The token that lets a driver into a Ray: a file of this user alone, or of one session.

Ray's own file is `~/.ray/auth_token`, which it makes readable as the umask says. So it is made
here, before Ray looks for it.
"""

import os
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.runtime import private

_GIVEN = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
# Ray reads its token once a process: later sessions of this one write the same to their folders.
_token = secrets.token_hex(32)


@contextmanager
def for_new_session(folder: Path) -> Iterator[None]:
    """Have the Ray that starts in the block ask for a token; `folder` is the session's own.

    A token in the environment wins, then that of the home folder, which is made if need be. Where
    there is no home folder to write to, or others can read the token there, it is a new file in
    `folder`, which ends with the session.
    """
    given = any(key in os.environ for key in _GIVEN)
    if given or os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        yield
        return
    path = of_user()
    if path is None:
        path = folder / "auth_token"
        private.write(path, _token)
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
    try:
        yield
    finally:
        os.environ.pop("RAY_AUTH_TOKEN_PATH", None)


def of_user() -> Path | None:
    """Return the file with this user's token, made if missing; None if it would not be private."""
    try:
        path = Path.home() / ".ray" / "auth_token"
    except RuntimeError:  # no home folder
        return None
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True, mode=0o700)
        # Refuses a file that is there; a concurrent start may be the one that made it.
        with suppress(FileExistsError):
            _write_whole(path)
    return path if private.is_private(path) else None


def for_other_nodes() -> dict[str, str]:
    """Return the variable that lets the other nodes of this job into the session."""
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if path is None or "RAY_AUTH_TOKEN" in os.environ:
        return {}
    with suppress(OSError):
        return {"RAY_AUTH_TOKEN": Path(path).read_text(encoding="utf-8").strip()}
    return {}


def to_join() -> dict[str, str]:
    """Return Ray's switch to token authentication if this user has a token.

    `ray start` makes that choice by itself, a connecting driver does not. A cluster that was
    started without the token cannot be joined by one who has it.
    """
    found = any(key in os.environ for key in _GIVEN)
    with suppress(RuntimeError, OSError):
        found = found or (Path.home() / ".ray" / "auth_token").exists()
    return {"RAY_AUTH_MODE": "token"} if found else {}


def hint() -> str:
    """Return how to see the token that the dashboard asks for."""
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return ""
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return f"  (asks once for the token: `{f'cat {path}' if path else 'ray get-auth-token'}`)"


def export(address: str) -> str:
    """Return the variables by which later runs join the Ray at `address`, as a shell takes them."""
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    # Found without being named where it lies in the home folder.
    token = f" RAY_AUTH_TOKEN_PATH={shlex.quote(path)}" if path and path != str(of_user()) else ""
    return f"RAY_ADDRESS={address}{token}"


def _write_whole(path: Path) -> None:
    """Write a new token to `path`; a start at the same moment never reads half of it.

    Raises:
        FileExistsError: there is one.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}")
    private.write(temporary, _token)
    try:
        # A link does not replace what is there, as a rename would: the first start wins.
        os.link(temporary, path)
    finally:
        temporary.unlink()
