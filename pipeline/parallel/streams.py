"""The registry of random streams: each purpose has its own, and what it is drawn from stands here.

What a stream is drawn from is part of what a seed means: a new purpose gets a new number or a new
function, and none is changed or used again. Torch's generators are in `generators`.
"""

from enum import IntEnum, unique

import numpy as np


@unique
class Stream(IntEnum):
    """What the random numbers of a PINN run are for: from (seed, stream, *index)."""

    # A stream is drawn from the number; the name may change.
    MODEL = 0
    POINTS = 1
    AXES = 2
    TEST = 3
    RAY = 4
    ERROR_BOUND = 5
    HELD_OUT_POINTS = 6
    HELD_OUT_AXES = 7


def of_run(seed: int, stream: Stream, *index: int) -> np.random.SeedSequence:
    """Return the stream of one purpose of a run; `index` counts steps, chunks or sets.

    Distinct ones are independent, but for zeros at the end of `index`, which do not count. Seeds
    of 2³² and more are two words: they may meet streams of a smaller seed, never of their own.
    """
    return np.random.SeedSequence((seed, int(stream), *index))


def of_tile(draw: int, tile: int) -> np.random.SeedSequence:
    """Return the stream of one tile of a draw; `draw` is a random number of 62 bits."""
    return np.random.SeedSequence((draw, tile))


def of_order(seed: int, epoch: int) -> np.random.Generator:
    """Return the generator of the order of the samples in one epoch of an operator run."""
    return np.random.default_rng([seed, epoch])


def of_sample(seed: int, index: int) -> np.random.Generator:
    """Return the generator of one sample of a data set.

    Spawned from its seed, so that it differs from every stream of a run of the same seed.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))


def of_modes(seed: int, kx: int, ky: int) -> np.random.Generator:
    """Return the generator of the Fourier modes (k_x, k_y, ·) of a flow's initial field."""
    # Spawn keys are non-negative: 0, 1, -1, 2, -2, ... become 0, 2, 3, 4, 5, ...
    key = tuple(2 * abs(k) + (k < 0) for k in (kx, ky))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def of_coefficients(seed: int) -> np.random.Generator:
    """Return the generator of a problem's coefficients, from a seed that is a key of its own.

    PCG64 by name: numpy's default may change, and published coefficients may not.
    """
    return np.random.Generator(np.random.PCG64(seed))


def of_reference(seed: int) -> np.random.Generator:
    """Return the generator of a Monte Carlo reference, from a key of its own.

    The same stream as `of_coefficients` of an equal seed: normal numbers here, uniform ones there,
    in another order. Kept as it is, because stored references depend on it.
    """
    return np.random.Generator(np.random.PCG64(seed))
