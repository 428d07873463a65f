"""The state of an interrupted run on disk: replaced whole, so that a kill never leaves half."""

import os
from pathlib import Path
from typing import Any

import torch

from pipeline.runtime import disk

_FILE = "snapshot.pt"


class Snapshots:
    """The last saved state of a run in `folder`; implements `loop.Checkpoints`."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device = folder, device

    def load(self) -> dict[str, Any] | None:
        """Return the last state, with its tensors on the device, or None."""
        file = self.folder / _FILE
        if not file.exists():
            return None
        state: dict[str, Any] = torch.load(file, map_location=self.device, weights_only=True)
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state by `state`, atomically and on disk before the old one goes."""
        write(self.folder / _FILE, state)


def write(path: Path, state: dict[str, Any]) -> None:
    """Write a state to `path`: whole and on disk, or not at all."""
    with disk.replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        # Before the rename: after a crash the new name would stand for content never written.
        os.fsync(file.fileno())


def stamp(folder: Path) -> int | None:
    """Return what changes with every state saved in `folder`; None if there is none."""
    file = folder / _FILE
    # A snapshot is replaced by a rename, so that its time changes with each.
    return file.stat().st_mtime_ns if file.exists() else None
