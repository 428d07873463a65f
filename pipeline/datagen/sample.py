"""Samples as a pure function of configuration, seed and sample index."""

import importlib
from typing import Any

import numpy as np

from pipeline.config import Dataset
from pipeline.errors import SolverError


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
    inputs = np.stack([problem.sample(stream(seed, first + i)) for i in range(count)])
    targets = problem.solve(inputs)
    blocks = inputs.astype(dataset.dtype), targets.astype(dataset.dtype)
    for name, block in zip(("inputs", "targets"), blocks, strict=True):
        if not np.isfinite(block).all():
            bad = first + int(np.argmin(np.isfinite(block).reshape(count, -1).all(axis=1)))
            raise SolverError(
                f"datagen.{name}: sample {bad}: expected finite {dataset.dtype} values,"
                " got inf or nan; check the problem's parameters"
            )
    return blocks


def estimate_error(dataset: Dataset, seed: int, first: int) -> float:
    """Return the solver's error estimate for one sample, in float64 (see the problem's `error`)."""
    problem = build_problem(dataset)
    inputs = problem.sample(stream(seed, first))[None]
    return float(problem.error(inputs, problem.solve(inputs)))


def stream(seed: int, index: int) -> np.random.Generator:
    """Return the random generator of sample `index`, independent of every other sample's."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
