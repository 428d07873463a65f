"""ETDRK4 on a grid as coarse as each solution allows at each moment."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.fft

from pipeline.equations.spectral import etdrk

# Relative to a row's largest mode, about rounding; the margin is for modes that grow before the
# next check.
_NEGLIGIBLE = 1e-14
_MARGIN = 1.5
_CHECK_EVERY = 8


@dataclass(frozen=True)
class _Level:
    """One grid: its number of modes and what `etdrk.advance` needs there."""

    kept: int
    coefficients: etdrk.Coefficients
    nonlinearity: etdrk.Nonlinearity


def integrate(
    state: np.ndarray,
    linear: np.ndarray,
    nonlinearity: Callable[[int], etdrk.Nonlinearity],
    num_points: int,
    final_time: float,
    time_step: float,
    *,
    min_points: int,
) -> np.ndarray:
    """Return the coefficients at `final_time`, as `etdrk.integrate` does, for less work.

    `state` has shape (rows, kept_modes(num_points)), `linear` is real, (modes,), and
    `nonlinearity(n)` acts on the modes kept on n points. Every 8 steps each row is put on the
    coarsest grid, of about num_points (3/4)^i >= `min_points`, that keeps 1.5 times the modes
    above 1e-14 of its largest; the modes beyond are set to zero. Viscosity empties the high modes
    of rough data within a few steps; a shock that forms later brings them back step by step. The
    choice is made row by row, so the other rows never influence a result.

    Guarantee: heuristic; the modes dropped are at rounding level and, for a spectrum that decays
    exponentially, stay far below it until the next check. Every product remains free of aliasing.
    `min_points = num_points` computes all modes always.

    Raises:
        SolverError: the solution became infinite or NaN.
    """
    num_steps = etdrk.count_steps(final_time, time_step)
    levels = _levels(linear, nonlinearity, num_points, min_points, final_time / num_steps)
    state = np.array(state, dtype=complex, order="C")
    done = 0
    while done < num_steps:
        # With one grid there is nothing to choose.
        count = min(_CHECK_EVERY, num_steps - done) if len(levels) > 1 else num_steps
        chosen = _choose(state, [level.kept for level in levels])
        # Rows on one grid are advanced together.
        for index in np.unique(chosen):
            level, rows = levels[index], np.flatnonzero(chosen == index)
            part = np.ascontiguousarray(state[rows, : level.kept])
            etdrk.advance(part, level.coefficients, level.nonlinearity, count)
            state[rows, : level.kept] = part
            # The modes beyond were not advanced.
            state[rows, level.kept :] = 0
        done += count
    return state


def _levels(
    linear: np.ndarray,
    nonlinearity: Callable[[int], etdrk.Nonlinearity],
    num_points: int,
    min_points: int,
    step: float,
) -> list[_Level]:
    """Return the grids from the coarsest to the finest."""
    sizes = [num_points]
    # Three quarters each time, rounded up to a length with a fast transform.
    while (size := scipy.fft.next_fast_len(3 * sizes[-1] // 4, real=True)) >= min_points:
        if size >= sizes[-1]:
            break
        sizes.append(size)
    levels = []
    for size in reversed(sizes):
        kept = etdrk.kept_modes(size)
        # The step is the same on every grid: grids differ in space alone.
        c = etdrk.paired(etdrk.coefficients(linear[:kept], step))
        levels.append(_Level(kept, c, nonlinearity(size)))
    return levels


def _choose(state: np.ndarray, kept: list[int]) -> np.ndarray:
    """Return for each row the first level with 1.5 times its significant modes, or the last."""
    magnitude = np.abs(state)
    significant = magnitude > _NEGLIGIBLE * magnitude.max(axis=1, keepdims=True)
    # argmax finds the first True, from the high end.
    highest = state.shape[1] - np.argmax(significant[:, ::-1], axis=1)
    needed = np.where(significant.any(axis=1), _MARGIN * highest, 1)
    # Rows that need more than the finest grid keeps take the finest.
    return np.minimum(np.searchsorted(kept, needed), len(kept) - 1)
