"""One shard as one task, and the records that let an interrupted run go on.

<store>.partial/store/             the store being written
<store>.partial/shards/<i>.json    one finished shard: what `write_shard` returned, timing

See `folder` for the rest.
"""

import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zarr

from pipeline.config import Dataset
from pipeline.datagen import folder, room
from pipeline.datagen.sample import build_problem, estimate_error, generate_block
from pipeline.errors import StoreError
from pipeline.provenance import config_digest, write_json
from pipeline.store import layout, shards

# An estimate costs as much as dozens of samples in a batch.
_ESTIMATE_EVERY = 8


@dataclass(frozen=True)
class Plan(folder.Plan[Dataset]):
    """A plan whose tasks are shards."""

    @property
    def num_shards(self) -> int:
        """Return the number of shards in the store."""
        return self.dataset.num_samples // self.dataset.samples_per_shard

    @property
    def tasks(self) -> tuple[str, int]:
        """Return the folder of the records of finished tasks, and how many tasks there are."""
        return "shards", self.num_shards


def make_shard(index: int, plan: Plan) -> dict[str, Any]:
    """Generate, write and record shard `index`; return its record.

    The record holds for each array what `write_shard` returned, `seconds` of computing on which
    `node`, and in every eighth shard the solver's `error` estimate for its first sample. It appears
    by renaming after both files: a shard with a record is finished. Run again, it writes the same
    bytes.
    """
    count = plan.dataset.samples_per_shard
    started = time.perf_counter()
    blocks = generate_block(plan.dataset, plan.seed, index * count, count)
    seconds = time.perf_counter() - started
    record: dict[str, Any] = {"seconds": seconds, "node": platform.node()}
    if index % _ESTIMATE_EVERY == 0:
        record["error"] = estimate_error(plan.dataset, plan.seed, index * count)
    for name, block in zip(layout.ARRAYS, blocks, strict=True):
        array = zarr.open_array(plan.partial / "store" / name, mode="r+")
        record[name] = shards.write_shard(array, index, block)
    write_json(plan.partial / "shards" / f"{index}.json", record)
    return record


def resume(plan: Plan) -> dict[int, dict[str, Any]]:
    """Prepare the folder of `plan` and return the records of the shards that are already right.

    A folder of the same digest is kept; every recorded shard in it is read and compared with its
    record, and forgotten if it differs. A folder of any other run is kept aside.

    Raises:
        PlaceError: something that the pipeline did not make is in the way.
        DiskError: the store cannot fit.
    """

    def create(new: Path) -> None:
        problem = build_problem(plan.dataset)
        channels = problem.num_inputs, problem.num_targets
        room.check(plan, sum(channels), 2 * plan.num_shards)
        shards.create(new / "store", plan.dataset, *channels)

    if not folder.claim(plan, create):
        return {}
    found = {index: _verified(plan, index) for index in range(plan.num_shards)}
    return {index: record for index, record in found.items() if record is not None}


def publish(plan: Plan, records: dict[int, dict[str, Any]]) -> None:
    """Verify all shards, mark the store complete and move it to its place by renaming.

    Raises:
        StoreError: a shard on disk is not what its task had in memory.
    """
    unfinished = plan.partial / "store"
    _sweep(plan, unfinished)
    shards.finalise(
        unfinished,
        plan.dataset,
        seed=plan.seed,
        config_digest=config_digest(plan.dataset),
        source_digest=plan.source,
        records={
            name: [records[index][name] for index in range(plan.num_shards)]
            for name in layout.ARRAYS
        },
    )
    folder.put_in_place(plan)


def _verified(plan: Plan, index: int) -> dict[str, Any] | None:
    """Return the record of a shard whose files match it, else None."""
    record = folder.read_json(plan.partial / "shards" / f"{index}.json")
    if record is None:
        return None
    try:
        for name in layout.ARRAYS:
            shards.verify_shard(plan.partial / "store", name, index, record[name])
    except (StoreError, KeyError, TypeError):
        return None
    return record


def _sweep(plan: Plan, unfinished: Path) -> None:
    """Remove the temporary files that killed writers left behind."""
    ndim = len(plan.dataset.grid) + 2
    expected = {unfinished / "zarr.json"}
    for name in layout.ARRAYS:
        expected.add(unfinished / name / "zarr.json")
        expected.update(
            layout.shard_file(unfinished, name, index, ndim) for index in range(plan.num_shards)
        )
    for path in unfinished.rglob("*"):
        if path.is_file() and path not in expected:
            path.unlink(missing_ok=True)
