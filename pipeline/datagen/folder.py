"""Where an unfinished store lies, and how a finished one takes its place."""

import json
import os
import shutil
from pathlib import Path
from typing import Any


def unfinished(store: Path) -> Path:
    """Return the folder of the unfinished run that makes `store`."""
    return store.with_name(store.name + ".partial")


def retired(store: Path) -> Path:
    """Return where an older `store` lies while it is replaced."""
    return store.with_name(store.name + ".old")


def put_in_place(finished: Path, store: Path) -> None:
    """Move the finished store to `store` by renaming, replacing what stands there."""
    if store.exists():
        os.replace(store, retired(store))
    os.replace(finished, store)
    shutil.rmtree(retired(store), ignore_errors=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a small JSON record, or None if there is none that can be read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
