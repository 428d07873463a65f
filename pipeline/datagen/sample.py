"""Samples as a pure function of configuration, seed and sample index."""

import importlib
from typing import Any

import numpy as np

from pipeline.config import Dataset
from pipeline.errors import SolverError

_BATCH = 64


def build_problem(dataset: Dataset) -> Any:
    """Return the problem of `dataset`, from the module named after its kind."""
    module = importlib.import_module(f"pipeline.problems.{dataset.problem.kind}")
    return module.build(dataset.problem, dataset.grid)


def generate_block(
    dataset: Dataset, seed: int, first: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (inputs, targets) of samples first, ..., first + count - 1: (count, C, *grid) each.

    Sample i is drawn from its own stream, `SeedSequence(seed, spawn_key=(i,))`, and solved in
    float64; only the result is rounded to `dataset.dtype`. The inputs therefore do not depend on
    the division into blocks at all, and the targets only through rounding inside the solver's
    batches (none has been observed; a test compares them bit for bit).

    Raises:
        SolverError: the solver failed, or a value is not finite in `dataset.dtype`.
    """
    problem = build_problem(dataset)
    inputs = np.empty((count, problem.num_inputs, *dataset.grid), dataset.dtype)
    targets = np.empty((count, problem.num_targets, *dataset.grid), dataset.dtype)
    # Only a few samples at a time are held in float64.
    for at in range(0, count, _BATCH):
        here = slice(at, min(at + _BATCH, count))
        drawn = [problem.sample(stream(seed, first + i)) for i in range(here.start, here.stop)]
        exact = np.stack(drawn)
        inputs[here], targets[here] = exact, problem.solve(exact)
    for name, block in (("inputs", inputs), ("targets", targets)):
        _check_finite(name, block, first)
    return inputs, targets


def _check_finite(name: str, block: np.ndarray, first: int) -> None:
    finite = np.isfinite(block).all(axis=tuple(range(1, block.ndim)))
    if not finite.all():
        raise SolverError(
            f"datagen.{name}: sample {first + int(np.argmin(finite))}: expected finite"
            f" {block.dtype} values, got inf or nan; check the problem's parameters"
        )


def estimate_error(dataset: Dataset, seed: int, first: int) -> float:
    """Return the solver's error estimate for one sample, in float64 (see the problem's `error`)."""
    problem = build_problem(dataset)
    inputs = problem.sample(stream(seed, first))[None]
    return float(problem.error(inputs, problem.solve(inputs)))


def stream(seed: int, index: int) -> np.random.Generator:
    """Return the random generator of sample `index`, independent of every other sample's."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
