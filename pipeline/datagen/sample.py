"""Samples and their errors as a pure function of configuration, seed and sample index."""

from typing import NamedTuple

import numpy as np

from pipeline.equations.base import build
from pipeline.errors import SolverError
from pipeline.parallel.streams import of_sample
from pipeline.store.config import Dataset

# Enough for the transforms to be efficient, few enough for float64 to fit beside the shard.
_BATCH = 64


class Block(NamedTuple):
    """Some samples in a row: `inputs` and `targets`, (count, C, *grid), `errors` (count,)."""

    inputs: np.ndarray
    targets: np.ndarray
    errors: np.ndarray


def generate_block(dataset: Dataset, seed: int, first: int, count: int) -> Block:
    """Return the samples first, ..., first + count - 1 and an estimate of the error of each.

    Sample i is drawn from its own stream (`streams.of_sample`) and solved in
    float64; only the result is rounded to `dataset.dtype`. The inputs therefore do not depend on
    the division into blocks at all, and the targets only through rounding inside the solver's
    batches (none has been observed; a test compares them bit for bit). The errors are those of
    `Generator.errors` and half a unit of rounding in `dataset.dtype`.

    Raises:
        SolverError: the solver failed, a value is not finite in `dataset.dtype`, or a sample
            misses the tolerance.
    """
    generator = build(dataset.problem, dataset.grid)
    inputs = np.empty((count, generator.num_inputs, *dataset.grid), dataset.dtype)
    targets = np.empty((count, generator.num_targets, *dataset.grid), dataset.dtype)
    errors = np.empty(count)
    # Only a few samples at a time are held in float64.
    for at in range(0, count, _BATCH):
        here = slice(at, min(at + _BATCH, count))
        samples = range(first + here.start, first + here.stop)
        exact = np.stack([generator.sample(stream(seed, i)) for i in samples])
        solved = generator.solve(exact)
        # Overflow is found below: it needs no warning of its own.
        with np.errstate(over="ignore"):
            inputs[here], targets[here] = exact, solved
        for name, block in (("inputs", inputs[here]), ("targets", targets[here])):
            _check_finite(name, block, samples.start)
        errors[here] = generator.errors(exact, solved, [stream(seed, i) for i in samples])
        # Half a unit in the last place: what storing in `dtype` may add.
        errors[here] += np.finfo(dataset.dtype).eps / 2
        worst = int(errors[here].argmax())
        # Here, so that nothing more is computed for a data set that cannot be.
        check_tolerance(dataset, seed, samples[worst], float(errors[here][worst]))
    return Block(inputs, targets, errors)


def check_tolerance(dataset: Dataset, seed: int, sample: int, error: float) -> None:
    """Return if the estimated error of a sample is within the tolerance of `dataset`.

    Raises:
        SolverError: it is not; sample, estimate and remedy are named.
    """
    if error <= dataset.largest_error:
        return
    generator = build(dataset.problem, dataset.grid)
    # Made anew from its stream: only its index has been kept.
    inputs = generator.sample(stream(seed, sample))[None]
    remedy = generator.remedy(inputs, generator.solve(inputs), error, dataset.largest_error)
    raise SolverError(
        f"sample {sample}: expected an error of at most {dataset.largest_error:.3g} (tolerance),"
        f" estimated {error:.3g} {remedy}, or raise tolerance"
    )


def _check_finite(name: str, block: np.ndarray, first: int) -> None:
    finite = np.isfinite(block).all(axis=tuple(range(1, block.ndim)))
    if not finite.all():
        raise SolverError(
            f"datagen.{name}: sample {first + int(np.argmin(finite))}: expected finite"
            f" {block.dtype} values, got inf or nan; check the problem's parameters"
        )


def stream(seed: int, index: int) -> np.random.Generator:
    """Return the random generator of sample `index`, independent of every other sample's."""
    return of_sample(seed, index)
