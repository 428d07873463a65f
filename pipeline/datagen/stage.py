"""The generate stage: a Dask graph of one task per shard, resumable at any moment."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distributed import KilledWorker, as_completed

from cluster import time_limit
from cluster.dask_cluster import client, num_over_memory
from cluster.time_limit import TimeLimit
from pipeline.datagen import folder
from pipeline.datagen.shard import Plan, publish, resume, try_shard, worst_of
from pipeline.equations.base import MEANING
from pipeline.errors import PipelineError, SolverError, TimeLimitError, brief
from pipeline.runtime import disk
from pipeline.runtime.job import Job
from pipeline.store import layout, place
from pipeline.store.config import Dataset

_PRINT_EVERY_S = 2.0


def run(job: Job, dataset: Dataset, *, store: Path, num_workers: int) -> None:
    """Write the complete store of `dataset` to `store`, and its record.

    Shards are written under `<store>.partial`, and the finished arrays are moved to `store` by
    renaming, replacing the store that was there. `store` may be a link to a folder. Killed at any
    moment and started again with the same dataset, seed and source digest, the run verifies the
    shards it finished, makes the others, and ends with the same bytes as an undisturbed one.
    `num_workers` processes; it does not affect the data.

    Raises:
        SolverError: a sample could not be solved, or misses the tolerance.
        StoreError: a shard on disk differs from what its task computed.
        PlaceError: something that the pipeline did not make is at the store's place.
        DiskError: the file system has no room for the store.
        TimeLimitError: the SLURM job stopped before its time limit; see `time_limit.requeued`.
        PipelineError: a task failed otherwise, or killed its worker again and again; or another
            process makes the same store and does not end.
    """
    name, store = job.name, Path(store).absolute()
    plan = Plan(dataset, job.seed, job.source, store)
    place.check_place(store)
    limit = time_limit.of_this_job()
    with time_limit.requeued(limit), job.running(dataset, lock=plan.partial) as work:
        done = resume(plan)
        missing = [index for index in range(plan.num_shards) if index not in done]
        if done:
            print(f"generate {name}: resuming with {len(done)} of {plan.num_shards} shards")
        if missing:
            done |= _compute(plan, missing, name, min(num_workers, len(missing)), limit)
        publish(plan, done)
        work.summary.update(_summary(plan, done))
    # Only now: a run killed before its record was written still finds its shards.
    folder.finish(plan)
    size = work.summary["bytes"] / 1e6
    print(f"generate {name}: {dataset.num_samples} samples, {size:.1f} MB")


def _compute(
    plan: Plan, missing: list[int], name: str, num_workers: int, limit: TimeLimit | None
) -> dict[int, dict[str, Any]]:
    """Return the records of the missing shards, made by Dask workers before the time limit."""
    done: dict[int, dict[str, Any]] = {}
    started = printed = time.perf_counter()
    with client(num_workers) as dask_client:
        futures = dask_client.map(try_shard, missing, plan=plan, pure=False)
        index_of = {future.key: index for future, index in zip(futures, missing, strict=True)}
        for future in _finished(futures, limit):
            if future is None:
                raise _stopped(name, plan, len(missing), len(done))
            index = index_of[future.key]
            finished = future.status == "finished"
            made = future.result() if finished else future.exception()
            if not finished or isinstance(made, SolverError):
                # The others would go on until the workers end, and be told of as lost.
                dask_client.cancel(list(index_of), force=True)
                error = made
                full = disk.want_of_room(error, plan.store)
                raise full or _failure(name, index, error, num_over_memory(dask_client))
            done[index] = made
            now = time.perf_counter()
            if now - printed > _PRINT_EVERY_S or len(done) == len(missing):
                printed = now
                rate = len(done) * plan.dataset.samples_per_shard / (now - started)
                print(
                    f"generate {name}: {plan.num_shards - len(missing) + len(done)}"
                    f"/{plan.num_shards} shards, {rate:.0f} samples/s",
                    flush=True,
                )
    return done


def _finished(futures: list[Any], limit: TimeLimit | None) -> Iterator[Any]:
    """Yield the futures as they finish; if the time limit is near before that, None last."""
    waiting = set(futures)
    while waiting:
        left = limit.seconds() if limit else math.inf
        try:
            for future in as_completed(list(waiting), timeout=None if left == math.inf else left):
                waiting.discard(future)
                yield future
        except TimeoutError:
            if limit is None or limit.is_near():
                # Those that finished while the time ran out still count.
                done = {future for future in waiting if future.done()}
                yield from done
                if done != waiting:
                    yield None
                return


def _stopped(name: str, plan: Plan, num_missing: int, num_made: int) -> PipelineError:
    """Return the one-line error for a job that ends before its work."""
    # Queued again it would do no better: that would go on for ever.
    if not num_made:
        return PipelineError(
            f"datasets.{name}: expected a shard to be finished within the job's time limit, got"
            " none; raise runtime of generate in cluster/slurm/config.yaml or lower"
            " samples_per_shard"
        )
    finished = plan.num_shards - num_missing + num_made
    return TimeLimitError(
        f"datasets.{name}: stopped after shard {finished} of {plan.num_shards}"
        " before the job's time limit"
    )


def _failure(name: str, index: int, error: BaseException | None, over_memory: int) -> PipelineError:
    """Return the one-line error for a failed task; `over_memory` workers were ended for that."""
    if isinstance(error, SolverError) and str(error).startswith("sample "):
        return SolverError(f"datasets.{name}: {error}")
    if isinstance(error, PipelineError):
        return type(error)(f"datasets.{name}: shard {index}: {error}")
    if isinstance(error, KilledWorker):
        times = error.allowed_failures + 1
        # The last one's reason may still be on its way.
        if over_memory >= times - 1:
            limit = error.last_worker.memory_limit / 2**20
            told = (
                f"to need less than a worker's {limit:.0f} MB, got {times} workers that reached it"
            )
        else:
            told = f"a worker to finish it, got {times} that died"
        return PipelineError(
            f"datasets.{name}: shard {index}: expected {told}; use fewer workers (threads), more"
            " memory (mem_mb on SLURM) or a lower samples_per_shard"
        )
    told = brief(error) if error else "lost"
    return PipelineError(f"datasets.{name}: shard {index}: {told}")


def _summary(plan: Plan, records: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Return the final numbers; for `max_error` see `Generator.errors`."""
    worst = worst_of(records)
    seconds = sum(record["seconds"] for record in records.values())
    return {
        "num_samples": plan.dataset.num_samples,
        "seconds_per_sample": seconds / plan.dataset.num_samples,
        "bytes": sum(record[name]["size"] for record in records.values() for name in layout.ARRAYS),
        "max_error": worst["error"],
        "max_error_is": MEANING,
        "worst_sample": worst["worst"],
        "tolerance": plan.dataset.largest_error,
        "shards_by_node": Counter(record["node"] for record in records.values()),
    }
