"""What the numbers of a part depend on: its settings, and the files that these name.

Two parts of the same identity give the same numbers, but for rounding. A path is no part of it,
what lies there is: the weights a run starts from count, and not where they are kept.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.kinds import shaping

_WEIGHTS = "model.pt"


def identity(part: BaseModel) -> dict[str, Any]:
    """Return what determines the numbers of a part beside seed and source, as JSON values."""
    checkpoint = getattr(part, "initial_checkpoint", None)
    if checkpoint is None:
        return shaping(part)
    return shaping(part) | {"initial_checkpoint": weights_digest(checkpoint)}


def weights_digest(checkpoint: Path) -> str | None:
    """Return the SHA-256 digest of the weights in a checkpoint folder; None if there are none."""
    file = Path(checkpoint) / _WEIGHTS
    try:
        found = file.stat()
    except OSError:
        return None
    # Time and size are there for the cache alone: weights that were replaced are read anew.
    return _digest(file, found.st_mtime_ns, found.st_size)


@cache
def _digest(file: Path, _mtime_ns: int, _size: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
