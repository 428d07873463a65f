"""Small runs, a small store and a wait for the tests of the training stage."""

import subprocess
import time
from pathlib import Path

import numpy as np
import zarr

from pipeline.runtime.digest import config_digest
from pipeline.store import shards
from pipeline.store.config import Dataset
from pipeline.training.operator.config import OperatorRun
from pipeline.training.pinn.config import PinnRun

# One of every kind, and those that differ in one key.
PROBLEMS = [
    {"kind": "two_body", "dim": 10},
    {"kind": "two_body", "dim": 100},
    {"kind": "two_body", "dim": 10, "equation": "poisson"},
    {"kind": "two_body", "dim": 10, "coefficient_seed": 1},
    {"kind": "two_body", "dim": 10, "zero_sum": False},
    {"kind": "three_body", "dim": 10},
    *[{"kind": "parabolic", "dim": 10, "equation": e}
      for e in ("heat", "allen_cahn", "sine_gordon")],
    *[{"kind": "hjb", "dim": 10, "equation": e} for e in ("lqg", "rosenbrock", "lin")],
    {"kind": "hjb", "dim": 10, "equation": "lqg", "mu": 0.5},
    *[{"kind": k, "dim": 10}
      for k in ("black_scholes_barenblatt", "fokker_planck", "schroedinger")],
]  # fmt: skip


def make_store(path: Path, *, grid: tuple[int, ...] = (32,), seed: int = 0) -> Path:
    """Write 60 random band-limited inputs and, as targets, their shifted derivative-like image."""
    kind = "burgers" if len(grid) == 1 else "darcy"
    problem = {"kind": kind, "viscosity": 0.1} if kind == "burgers" else {"kind": kind}
    dataset = Dataset(problem=problem, grid=grid, num_samples=60, num_test=20, samples_per_shard=20)
    shards.create(path, dataset)
    rng = np.random.default_rng(seed)
    group = zarr.open_group(path, mode="r+")
    records: dict[str, list] = {"inputs": [], "targets": []}
    for index in range(3):
        noise = np.fft.fftn(rng.standard_normal((20, 1, *grid)), axes=range(2, 2 + len(grid)))
        for axis, n in enumerate(grid):
            low = np.abs(np.fft.fftfreq(n, 1 / n)) < 4
            noise *= low.reshape([-1 if a == axis + 2 else 1 for a in range(2 + len(grid))])
        field = np.fft.ifftn(noise, axes=range(2, 2 + len(grid))).real * 3 + 5
        image = np.roll(field, 3, axis=-1) + 0.1 * field**2
        for name, block in (("inputs", field), ("targets", image)):
            record = shards.write_shard(group[name], index, block.astype(np.float32))
            records[name].append(record)
    shards.finalise(
        path,
        dataset,
        seed=seed,
        config_digest=config_digest(dataset),
        source_digest="test",
        records=records,
    )
    return path


def operator_run(**train) -> OperatorRun:
    settings = {"num_epochs": 6, "batch_size": 4, "evaluate_every": 10, "checkpoint_every": 7}
    return OperatorRun(
        dataset="waves",
        model={"kind": "fno", "modes": [4], "width": 8, "depth": 2},
        train=settings | train,
    )


def pinn_run(**train) -> PinnRun:
    settings = {"num_steps": 40, "batch_size": 8, "evaluate_every": 10, "checkpoint_every": 7}
    return PinnRun(
        problem={"kind": "two_body", "dim": 10},
        model={"kind": "mlp", "width": 16, "depth": 3},
        estimator={"kind": "sdgd", "sampled_axes": 4},
        train=settings | {"num_test_points": 200} | train,
    )


def wait_for(condition, job: subprocess.Popen, seconds: float = 300):
    """Return the first true value of `condition`; fail if the job ends or time runs out."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        assert job.poll() is None, "the job ended before the condition was met"
        time.sleep(0.05)
    raise AssertionError("the condition was not met in time")
