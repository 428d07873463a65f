"""The same field on another grid, and how far apart two fields are."""

import numpy as np
import scipy.fft


def resample(values: np.ndarray, num_points: int) -> np.ndarray:
    """Return the trigonometric interpolant of `values` (..., N) at `num_points` points.

    On fewer points: of its modes below num_points/2 alone. A cosine at the frequency N/2 is half
    of a mode and half of its conjugate on a finer grid, so that values at shared points agree.
    """
    before = values.shape[-1]
    modes = np.asarray(scipy.fft.rfft(values, norm="forward"))
    # Where it is coarser: below num_points/2, at which the grid sees a cosine alone.
    kept = min(modes.shape[-1], (num_points + 1) // 2)
    out = np.zeros((*modes.shape[:-1], num_points // 2 + 1), dtype=complex)
    out[..., :kept] = modes[..., :kept]
    if num_points > before and before % 2 == 0:
        out[..., before // 2] /= 2
    return np.asarray(scipy.fft.irfft(out, num_points, norm="forward"))


def relative(difference: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Return ‖difference‖ / ‖of‖ of each sample, (n,); 0 where both vanish."""
    axes = tuple(range(1, of.ndim))
    gap, size = (np.sqrt((values**2).sum(axis=axes)) for values in (difference, of))
    return np.asarray(np.divide(gap, size, out=np.where(gap > 0, np.inf, 0.0), where=size > 0))


def refine_linearly(values: np.ndarray, factor: int) -> np.ndarray:
    """Return `values` (n, N1, N2) on spacings `factor` times smaller, linear between the nodes."""
    for axis in (1, 2):
        count = values.shape[axis]
        place = np.arange(factor * (count - 1) + 1) / factor
        # The last node has no right neighbour: it is the right end of the interval before it.
        left = np.minimum(place.astype(int), count - 2)
        weight = np.expand_dims(place - left, tuple(range(1, 3 - axis)))
        values = np.take(values, left, axis) * (1 - weight) + (
            np.take(values, left + 1, axis) * weight
        )
    return values
