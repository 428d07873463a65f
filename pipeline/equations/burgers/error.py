"""How wrong solutions of Burgers' equation are: solves of the same function on other grids.

A *coarser* solve, half the points and half the steps, costs about half of the solve itself and is
made for every sample: its distance orders the samples from the worst to the best. A *finer* one,
twice the points and twice the steps, costs 2 to 4 times the solve and is made for the worst. The
error of the finer one is below half of ours wherever the scheme converges at first order or better,
so twice the distance to it is at least our error: in space and in time at once.
"""

from collections.abc import Callable

import numpy as np
import scipy.fft

from pipeline.equations.refinement import relative, resample
from pipeline.equations.spectral import etdrk
from pipeline.errors import SolverError

# A group of worst samples is this part of all.
_GROUP = 16
# On fewer points or steps than these a coarser solve says nothing, and a finer one costs nothing.
_FEWEST_POINTS, _FEWEST_STEPS = 32, 8

# (inputs on any number of points, number of time steps) -> solutions there
Solve = Callable[[np.ndarray, int], np.ndarray]


def estimate(inputs: np.ndarray, targets: np.ndarray, num_steps: int, solve: Solve) -> np.ndarray:
    """Return an estimate of the relative L2 error of each sample at its points, (n,).

    `inputs` and `targets`: (n, 1, N), the targets from `num_steps` steps. The worst sixteenth by
    the coarser solve is solved finer, and the next one as long as the better half of the last
    brought a new largest error; all that the coarser solve failed on are solved finer. The others
    get the smaller of their distance to the coarser solve, which is above their error, and the
    largest estimate found: in the order of that distance they come after it.

    Cost: half a solve of all samples and a finer solve of a sixteenth of them, as a rule.
    """
    if inputs.shape[-1] < _FEWEST_POINTS or num_steps < _FEWEST_STEPS:
        return _finer_distance(inputs, targets, num_steps, solve)
    distance = _coarser_distance(inputs, targets, num_steps, solve)
    # Stable: samples at equal distance keep their order, whatever the algorithm.
    order = np.argsort(-distance, kind="stable")
    found = np.full(len(inputs), np.nan)
    size = max(2, -(-len(inputs) // _GROUP))
    # Failed coarser solves are at infinity, and so the first of the order.
    first = max(size, int(np.isinf(distance).sum()))
    groups = [order[:first], *(order[at : at + size] for at in range(first, len(order), size))]
    largest = -np.inf
    for group in groups:
        errors = found[group] = _finer_distance(inputs[group], targets[group], num_steps, solve)
        worse, better = np.split(errors, [(len(group) + 1) // 2])
        largest = max(largest, worse.max())
        # A group of one, the last, has no better half.
        last = better.max(initial=-np.inf)
        if last <= largest:
            break
        largest = last
    return np.where(np.isnan(found), np.minimum(distance, np.nanmax(found)), found)


def in_time(inputs: np.ndarray, targets: np.ndarray, num_steps: int, solve: Solve) -> float:
    """Return an estimate of the part of the largest error that a smaller step would remove."""
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            finer = solve(inputs, _finer_steps(num_steps))
        except SolverError:
            return float("inf")
    # Richardson: half the step leaves 2^-4 of the error, so that the difference is the rest of it.
    return float(relative(targets - finer, finer).max() / (1 - 2.0**-etdrk.ORDER))


def _coarser_distance(
    inputs: np.ndarray, targets: np.ndarray, num_steps: int, solve: Solve
) -> np.ndarray:
    """Return the distance of each sample to the coarser solve, (n,); infinite where it failed."""
    try:
        # Half the points and, rounded up, half the steps.
        found = solve(resample(inputs, inputs.shape[-1] // 2), -(-num_steps // 2))
    except SolverError:
        return np.full(len(inputs), np.inf)
    return relative(resample(found, inputs.shape[-1]) - targets, targets)


def _finer_distance(
    inputs: np.ndarray, targets: np.ndarray, num_steps: int, solve: Solve
) -> np.ndarray:
    """Return twice the distance to the finer solve, or what its own spectrum shows to be missing.

    Where even the finer grid is too coarse, both solutions are wrong, and however close they are,
    the highest quarter of its modes is not small: the error is at least of that size.
    """
    # On very few points twice as many are still few: the finer grid has at least 64.
    factor = 2 * -(-_FEWEST_POINTS // inputs.shape[-1])
    try:
        found = solve(resample(inputs, factor * inputs.shape[-1]), _finer_steps(num_steps))
    except SolverError:
        return np.full(len(inputs), np.inf)
    exact = found[..., ::factor]
    kept = etdrk.kept_modes(found.shape[-1])
    modes = np.abs(np.asarray(scipy.fft.rfft(found))[:, :, :kept])
    missing = relative(modes[:, :, 3 * kept // 4 :], modes)
    return np.asarray(np.maximum(2 * relative(targets - exact, exact), missing))


def _finer_steps(num_steps: int) -> int:
    return 2 * max(num_steps, _FEWEST_STEPS)
