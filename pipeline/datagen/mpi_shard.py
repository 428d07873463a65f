"""One snapshot as one step of a run that can be interrupted, and the records that let it go on.

<store>.partial/store/               the store being written
<store>.partial/state/<i>.<r>.npz    û of rank r at snapshot i, `coarser` that of the companion:
                                     a restart repeats the numbers
<store>.partial/snapshots/<i>.json   one finished snapshot: slabs, checksums of û, diagnostics

See `folder` for the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from pipeline.datagen import folder, room
from pipeline.errors import StoreError
from pipeline.runtime import disk, ours
from pipeline.runtime.provenance import write_json
from pipeline.store import slabs
from pipeline.store.config import Trajectory
from pipeline.store.reader import block_checksum


@dataclass(frozen=True)
class Plan(folder.Plan[Trajectory]):
    """A plan whose tasks are snapshots, each of a slab a rank."""

    def state(self, snapshot: int, rank: int) -> Path:
        """Return the file that holds both û of one rank at one snapshot."""
        return self.partial / "state" / f"{snapshot}.{rank}.npz"

    def record(self, snapshot: int) -> Path:
        """Return the file whose existence says that a snapshot is finished."""
        return self.partial / "snapshots" / f"{snapshot}.json"

    @property
    def tasks(self) -> tuple[str, int]:
        """Return the folder of the records of finished tasks, and how many tasks there are."""
        return "snapshots", self.dataset.num_snapshots + 1


def prepare(plan: Plan) -> list[dict[str, Any]]:
    """Make the folder ready (one rank) and return the records of its snapshots, in order.

    Raises:
        PlaceError: something that the pipeline did not make is in the way.
        DiskError: the store cannot fit.
    """
    if not folder.claim(plan, _creator(plan)):
        return []
    records: list[dict[str, Any]] = []
    # Up to the first gap: a snapshot starts from the one before.
    while (record := ours.read_json(plan.record(len(records)))) is not None:
        records.append(record)
    return records


def clear(plan: Plan) -> None:
    """Start the folder of `plan` anew (one rank)."""
    folder.begin(plan, _creator(plan))


def _creator(plan: Plan) -> Callable[[Path], None]:
    def create(new: Path) -> None:
        room.check(plan, 3, plan.dataset.ranks * plan.tasks[1])
        for name in ("state", "snapshots"):
            (new / name).mkdir()
        slabs.create(new / "store", plan.dataset)

    return create


class State(NamedTuple):
    """What a snapshot is computed from: û of this rank, and that of its companion."""

    fine: np.ndarray
    coarser: np.ndarray

    def checksums(self) -> list[str]:
        """Return the checksum of each part."""
        return [block_checksum(part) for part in self]


def load(plan: Plan, records: list[dict[str, Any]], rank: int) -> State | None:
    """Return the state of this rank at the last record, or None unless all of its files match."""
    try:
        # A rank looks at its own files; if one rank finds a wrong one, all begin anew.
        for record in records:
            slabs.verify(plan.partial / "store", "velocity", record["slabs"][rank])
        with np.load(plan.state(len(records) - 1, rank)) as file:
            state = State(file["fine"], file["coarser"])
        matches = state.checksums() == records[-1]["states"][rank]
    # A zip file of numpy's that is damaged raises BadZipFile.
    except (StoreError, OSError, ValueError, KeyError, TypeError, IndexError, BadZipFile):
        return None
    return state if matches else None


def save(
    plan: Plan, snapshot: int, rank: int, velocity: np.ndarray, state: State
) -> tuple[dict[str, Any], list[str]]:
    """Write one rank's part of a snapshot; return the slab's record and the checksums of û."""
    # Slab, then state, then (`commit`) the record: a kill between them repeats the snapshot.
    record = slabs.write_slab(plan.partial / "store", snapshot, rank, velocity)
    with disk.replacing(plan.state(snapshot, rank)) as temporary, temporary.open("wb") as file:
        np.savez(file, fine=state.fine, coarser=state.coarser)
    return record, state.checksums()


def commit(plan: Plan, snapshot: int, record: dict[str, Any]) -> None:
    """Record a snapshot whose files are all written (one rank)."""
    write_json(plan.record(snapshot), record)


def forget_state(plan: Plan, snapshot: int, rank: int) -> None:
    """Remove û of a snapshot that is no longer the last."""
    plan.state(snapshot, rank).unlink(missing_ok=True)
