"""Memory, traffic and time of a PINN step on 1, 2 and 4 workers: axes divided, or points.

`python -m benchmarks.pinn_shards --json [--quick] [--dims 100000 ...] [--sizes 1 2 4]`. Workers are
processes of one machine, a thread each, in a gloo group; `points` is data parallelism, which holds
and reduces the whole first layer, `axes` divides it (docs/pinn.md). Figures, the largest over
workers: `mb`, peak memory above that of a process with its libraries loaded; `bytes`, what a step
gives to all-reduce, and `bytes_design` by the formula of the docs; `cpu_ms`, `wall_ms` of a step.
Wall times say little where workers outnumber cores. The last line is one JSON object.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

from benchmarks.pinn_arms import AXES, BATCH, DEPTH, WIDTH
from benchmarks.report import Report, parser

STEPS, WARM_UP = 5, 2


def worker(shard: str, dim: int, rank: int, size: int, rendezvous: str) -> None:
    """Take some steps in one process and print its figures."""
    import torch
    import torch.distributed as dist

    from pipeline.optimizers.base import Batch
    from pipeline.parallel.group import Group
    from pipeline.training.pinn.config import PinnRun
    from pipeline.training.pinn.task import Task

    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=size)
    world = Group()
    run = PinnRun.model_validate(
        {
            "problem": {"kind": "two_body", "dim": dim},
            "model": {"kind": "mlp", "width": WIDTH, "depth": DEPTH},
            "estimator": {"kind": "sdgd", "sampled_axes": AXES},
            "train": {
                "num_steps": 100, "batch_size": BATCH, "num_test_points": 1, "shard": shard,
                "num_workers": size,
            },
        }
    )  # fmt: skip
    world.all_reduce(torch.zeros(1))
    before = _peak_mb()
    task = Task(run, 0, torch.device("cpu"), world=world)
    optimizer = task.optimizer()
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            cpu, wall, sent = time.process_time(), time.perf_counter(), world.num_bytes
        optimizer.update(task, Batch(step, world))
    figures = {
        "mb": _peak_mb() - before,
        "bytes": (world.num_bytes - sent) / STEPS,
        "cpu_ms": (time.process_time() - cpu) / STEPS * 1e3,
        "wall_ms": (time.perf_counter() - wall) / STEPS * 1e3,
    }
    print(json.dumps(figures), flush=True)
    dist.destroy_process_group()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def designed_bytes(shard: str, dim: int, size: int) -> int:
    """Return what a step sends by design, for float32 numbers.

    Axes: |x|² three times, W x and the sampled columns there and back, three sums of the source and
    x·v. Both: the gradient of what every worker has, and the loss.
    """
    if size == 1:
        return 0
    rest = WIDTH + (DEPTH - 2) * (WIDTH * WIDTH + WIDTH) + WIDTH + 1
    if shard == "points":
        return 4 * (rest + WIDTH * dim + 1)
    summed = 3 * BATCH + 2 * BATCH * WIDTH + 2 * AXES * WIDTH + 3 * BATCH + BATCH * AXES
    return 4 * (rest + 1 + summed)


def measure(shard: str, dim: int, size: int) -> dict[str, float]:
    """Return the figures of one group of workers."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.pinn_shards", "worker", shard, str(dim)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        processes = [
            subprocess.Popen(
                [*command, str(rank), str(size), f"{folder}/rendezvous"],
                stdout=subprocess.PIPE, env=environment, encoding="utf-8"
            )
            for rank in range(size)
        ]  # fmt: skip
        answers = [process.communicate()[0] for process in processes]
    found = [json.loads(answer) for answer in answers]
    largest = {key: max(one[key] for one in found) for key in found[0]}
    name = f"{shard}_d{dim}_n{size}"
    figures = {f"{name}_{key}": round(value, 1) for key, value in largest.items()}
    return figures | {f"{name}_bytes_design": designed_bytes(shard, dim, size)}


def main() -> None:
    """Run the benchmark and print its figures."""
    arguments = parser(__doc__, "d = 20,000 on 1 and 2 workers")
    arguments.add_argument("--dims", type=int, nargs="+", default=[100_000])
    arguments.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4])
    arguments.add_argument("--shards", nargs="+", choices=["axes", "points"],
                           default=["axes", "points"])  # fmt: skip
    options = arguments.parse_args()
    report = Report("pinn_shards", options, batch_size=BATCH, directions=AXES, steps=STEPS)
    for dim in [20_000] if options.quick else options.dims:
        for size in [1, 2] if options.quick else options.sizes:
            for shard in options.shards:
                report.add(measure(shard, dim, size))
    report.finish()


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        kind, *numbers, place = sys.argv[2:]
        worker(kind, *map(int, numbers), place)
    else:
        main()
