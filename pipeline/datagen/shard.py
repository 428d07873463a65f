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

from pipeline.datagen import folder, room
from pipeline.datagen.sample import check_tolerance, generate_block
from pipeline.equations.base import MEANING, build
from pipeline.errors import SolverError, StoreError
from pipeline.runtime import ours
from pipeline.runtime.digest import config_digest
from pipeline.runtime.provenance import write_json
from pipeline.store import layout, shards
from pipeline.store.config import Dataset


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
    `node`, and the `error` of the sample `worst`, the largest estimate in the shard. It appears
    by renaming after both files: a shard with a record is finished. Run again, it writes the same
    bytes.

    Raises:
        SolverError: see `generate_block`.
    """
    count = plan.dataset.samples_per_shard
    started = time.perf_counter()
    block = generate_block(plan.dataset, plan.seed, index * count, count)
    worst = int(block.errors.argmax())
    record: dict[str, Any] = {
        "seconds": time.perf_counter() - started,
        "node": platform.node(),
        "error": float(block.errors[worst]),
        "worst": index * count + worst,
    }
    blocks = (block.inputs, block.targets)
    for name, values in zip(layout.ARRAYS, blocks, strict=True):
        array = zarr.open_array(plan.partial / "store" / name, mode="r+")
        record[name] = shards.write_shard(array, index, values)
    # Last: a shard without its record is made again.
    write_json(plan.partial / "shards" / f"{index}.json", record)
    return record


def try_shard(index: int, plan: Plan) -> dict[str, Any] | SolverError:
    """Return what `make_shard` returns, or the `SolverError` that it raises.

    Dask would tell of a raised one with its traceback, on every worker that meets it.
    """
    try:
        return make_shard(index, plan)
    except SolverError as error:
        return error


def resume(plan: Plan) -> dict[int, dict[str, Any]]:
    """Prepare the folder of `plan` and return the records of the shards that are already right.

    A folder of the same digest is kept; every recorded shard in it is read and compared with its
    record, and forgotten if it differs. A folder of any other run is kept aside.

    Raises:
        PlaceError: something that the pipeline did not make is in the way.
        DiskError: the store cannot fit.
        SolverError: a finished shard misses the tolerance, which was larger when it was made.
    """

    def create(new: Path) -> None:
        generator = build(plan.dataset.problem, plan.dataset.grid)
        channels = generator.num_inputs, generator.num_targets
        room.check(plan, sum(channels), 2 * plan.num_shards)
        shards.create(
            new / "store",
            plan.dataset,
            *channels,
            axes=tuple(generator.coordinates),
            meanings={"inputs": generator.inputs_are, "targets": generator.targets_are},
        )

    if not folder.claim(plan, create):
        return {}
    # By reading every file: an interrupted machine may have lost what it said it wrote.
    verified = {index: _verified(plan, index) for index in range(plan.num_shards)}
    found = {index: record for index, record in verified.items() if record is not None}
    if found:
        worst = worst_of(found)
        check_tolerance(plan.dataset, plan.seed, worst["worst"], worst["error"])
    return found


def worst_of(records: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Return the record of the shard that holds the sample of the largest estimated error."""
    # Of equal errors the first sample, whatever the order in which shards were made.
    return max(records.values(), key=lambda record: (record["error"], -record["worst"]))


def publish(plan: Plan, records: dict[int, dict[str, Any]]) -> None:
    """Verify all shards, mark the store complete and move it to its place by renaming.

    Raises:
        StoreError: a shard on disk is not what its task had in memory.
    """
    unfinished = plan.partial / "store"
    # All tasks have ended: what none of them has renamed is nobody's.
    _sweep(plan, unfinished)
    worst = worst_of(records)
    shards.finalise(
        unfinished,
        plan.dataset,
        seed=plan.seed,
        coordinates=build(plan.dataset.problem, plan.dataset.grid).coordinates,
        notes={
            "max_error": worst["error"],
            "max_error_is": MEANING,
            "worst_sample": worst["worst"],
            "tolerance": plan.dataset.largest_error,
        },
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
    record = ours.read_json(plan.partial / "shards" / f"{index}.json")
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
