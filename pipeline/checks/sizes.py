"""What of an experiment needs more cores or memory than there are: found before any job.

Memory is a lower bound, so that only what is impossible is refused. In bytes, 4 a number:

- a run of w workers (of an elastic range: the fewest) with P parameters holds w copies of weights,
  gradient and Adam's two moments, 16 w P, and a batch of points or of fields.
  The kind of the network knows P (`num_weights`); points have n numbers each. Workers that divide
  the axes (`shard: axes`) hold one copy together. Test points are drawn in chunks and count for
  nothing.
- a data set holds a shard of inputs and targets, and a record of about 200 bytes a shard; a flow
  holds its velocity and one stage of the time step, 2 · 3 N³ numbers of 8 bytes, over all ranks.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipeline.config import Experiment
from pipeline.reading.words import show
from pipeline.store.config import AnyDataset, Dataset
from pipeline.training.operator.config import OperatorRun
from pipeline.training.pinn.config import PinnRun

# A few more ranks than cores are slower, not wrong.
_RANKS_A_CORE = 4
# Bytes of a float32; weights, gradient and two moments; bytes of the record of a shard.
_NUMBER, _COPIES, _RECORD = 4, 4, 200
_GIB = 2**30


class Room(NamedTuple):
    """What there is for a job: None where it is not known."""

    cores: int | None
    memory: int | None
    # "this machine", to stand after "the cores of".
    owner: str


class Misfit(NamedTuple):
    """The keys that lead to what does not fit, and "expected ..., got ..."."""

    path: list[int | str]
    text: str


class Need(NamedTuple):
    """Bytes that a part needs at least, what they hold, and the key that makes them many."""

    size: int
    what: str
    key: str
    value: object


def misfits(experiment: Experiment, room: Room) -> Iterator[Misfit]:
    """Yield what of `experiment` one machine with `room` cannot hold, each part by itself."""
    for name, dataset in experiment.datasets.items():
        yield from dataset_misfits(name, dataset, room)
    for name, run in experiment.runs.items():
        yield from run_misfits(name, run, room)


def job_misfits(experiment: Experiment, names: Mapping[str, str], room: Room) -> Iterator[Misfit]:
    """Yield why a job with `room` cannot do its part; `names` are its wildcards, name by kind."""
    if "run" in names:
        yield from run_misfits(names["run"], experiment.runs[names["run"]], room)
    elif "dataset" in names:
        name = names["dataset"]
        yield from dataset_misfits(name, experiment.datasets[name], room)


def run_misfits(name: str, run: PinnRun | OperatorRun, room: Room) -> Iterator[Misfit]:
    """Yield why a job with `room` cannot train the run `name`."""
    fewest = run.train.min_workers
    if room.cores is not None and fewest > room.cores:
        yield Misfit(
            ["runs", name, "train", "num_workers"],
            f"expected at most {room.cores}, the cores of {room.owner}, got {fewest}",
        )
    yield from _too_large(["runs", name], run_needs(run), room)


def dataset_misfits(name: str, dataset: AnyDataset, room: Room) -> Iterator[Misfit]:
    """Yield why a job with `room` cannot make the data set `name`."""
    if isinstance(dataset, Dataset):
        points = math.prod(dataset.grid) * _itemsize(dataset.dtype)
        shards = dataset.num_samples // dataset.samples_per_shard
        needs = [
            # First: if not even one sample fits, smaller shards are no remedy.
            Need(2 * points, "one sample", "grid", list(dataset.grid)),
            Need(
                2 * points * dataset.samples_per_shard,
                "a shard",
                "samples_per_shard",
                dataset.samples_per_shard,
            ),
            Need(
                _RECORD * shards,
                f"the records of {shards:,} shards",
                "num_samples",
                dataset.num_samples,
            ),
        ]
    else:
        velocity = 3 * math.prod(dataset.grid) * 8
        needs = [
            Need(2 * velocity, "velocity and a stage of the time step", "grid", list(dataset.grid))
        ]
        most = None if room.cores is None else _RANKS_A_CORE * room.cores
        if most is not None and dataset.ranks > most:
            yield Misfit(
                ["datasets", name, "ranks"],
                f"expected at most {most} processes on the {room.cores} cores of {room.owner},"
                f" got {dataset.ranks}",
            )
    yield from _too_large(["datasets", name], needs, room)


def run_needs(run: PinnRun | OperatorRun) -> list[Need]:
    """Return what the workers of a run hold at least, on one machine."""
    workers = run.train.min_workers
    if isinstance(run, OperatorRun):
        weights, key = run.model.num_weights()
        what = f"{workers} x weights, gradient and Adam's moments of the network"
        size = _COPIES * _NUMBER * workers * weights
        return [Need(size, what, f"model.{key}", getattr(run.model, key))]
    coordinates = run.problem.num_inputs
    copies = 1 if run.train.shard == "axes" else workers
    weights, key = run.model.num_weights(coordinates)
    sizes = {"problem.dim": run.problem.dim}
    if weights:
        sizes[f"model.{key}"] = getattr(run.model, key)
    # The complaint names the key that counts most.
    largest = max(sizes, key=lambda key: sizes[key])
    batch = run.train.batch_size
    return [
        Need(
            _COPIES * _NUMBER * copies * weights,
            "weights, gradient and Adam's moments of the network",
            largest,
            sizes[largest],
        ),
        Need(_NUMBER * batch * coordinates, "one batch", "train.batch_size", batch),
    ]


def _too_large(path: list[int | str], needs: list[Need], room: Room) -> Iterator[Misfit]:
    """Yield the first of `needs` that is more than there is."""
    for need in needs:
        if room.memory is not None and need.size > room.memory:
            yield Misfit(
                [*path, *need.key.split(".")],
                f"expected what fits into the {_gib(room.memory)} of {room.owner}, got"
                f" {show(need.value)}, which needs at least {_gib(need.size)} for {need.what}",
            )
            return


def _itemsize(dtype: str) -> int:
    return {"float32": 4, "float64": 8}[dtype]


def _gib(size: int) -> str:
    return f"{size / _GIB:,.1f} GiB" if size < 2**60 else "more than a billion GiB"
