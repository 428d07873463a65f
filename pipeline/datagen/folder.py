"""Where an unfinished store lies, and how a finished one takes its place."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline.config import Dataset, Trajectory
from pipeline.provenance import config_digest

D = TypeVar("D", Dataset, Trajectory)


@dataclass(frozen=True)
class Plan(Generic[D]):
    """What to generate and where; picklable, so that it travels to the workers."""

    dataset: D
    seed: int
    source: str
    store: Path

    @property
    def partial(self) -> Path:
        """Return the folder of the unfinished run."""
        return unfinished(self.store)

    @property
    def digest(self) -> str:
        """Return the digest that a resumed run must share with the interrupted one."""
        return config_digest(self.dataset, self.seed, self.source)


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
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
