"""Files: a certificate is read whatever it is, and no file is replaced but the verifier's own."""

import json
import os
import stat
from pathlib import Path
from secrets import token_hex
from typing import Any

from pipeline.certify.format import MAX_BYTES, Rejected

# A state or verdict says what it is under the key "kind".
STATE, VERDICT = "pipeline.certify state", "pipeline.certify verdict"
# Written before a proof, and removed, to see that there is room for its verdict.
_ROOM = 1 << 15


class NoVerdict(Exception):
    """Neither proved nor rejected: a file that must not be used, or a proof cut short; one line."""


def read(path: Path) -> bytes:
    """Return a regular file, or its first MAX_BYTES + 1 bytes; never waits.

    Raises:
        Rejected: condition `file`: it cannot be read, or is a folder, pipe or device.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits until somebody writes to it.
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read(MAX_BYTES + 1) or b""
    except OSError as error:
        raise Rejected("file", f"cannot be read: {error.strerror}") from None
    raise Rejected("file", "expected a regular file, got a pipe or device")


def claim(path: Path, kind: str) -> dict[str, Any]:
    """Return the content of the file `path` of this kind, after a trial that it can be written.

    If there is no file, the content is its kind alone.

    Raises:
        NoVerdict: it is something else, or a link, or no file can have that name.
        OSError: it cannot be written.
    """
    got = "another"
    try:
        os.lstat(path)
        fields: Any = json.loads(b"" if path.is_symlink() else read(path))
    except FileNotFoundError:
        fields = {"kind": kind}
    except (OSError, Rejected, ValueError, RecursionError) as error:
        fields, got = None, getattr(error, "strerror", got)
    if not isinstance(fields, dict) or fields.get("kind") != kind:
        raise NoVerdict(f"{str(path):.200}: expected a {kind} or no file, got {got}; use another")
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, " " * _ROOM, is_trial=True)
    return fields


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` under a temporary name and rename it."""
    _write(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _write(path: Path, text: str, is_trial: bool = False) -> None:
    """Write `path` by way of a temporary file beside it, which never stays.

    Its name is random and it must be new, so that no link laid there is followed. In a trial that
    file alone is written.
    """
    temporary = path.with_name(f".certify-{os.getpid()}-{token_hex(8)}.tmp")
    try:
        with open(temporary, "x", encoding="ascii") as file:
            file.write(text)
        os.replace(temporary, temporary if is_trial else path)
    finally:
        temporary.unlink(missing_ok=True)
