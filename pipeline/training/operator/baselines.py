"""Baselines of an operator: the errors of the mean target and of the best linear map.

A relative L2 error of 1% says little of an operator that is nearly linear. Beside a run stand

- the *mean predictor*: the mean of the training targets, whatever the input is;
- the *linear map*: the target field as an affine function of the input's lowest modes, as many an
  axis as the network keeps, fitted to the training split by ridge regression.

Modes of an axis are the 2m - 1 real ones below frequency m, the network's `modes`: 1, cos 2πkx and
sin 2πkx with 0 < k < m where the grid is periodic, cos πkx with k < 2m - 1 where it is not; those
of several axes are products. The output is not truncated: every point of the grid has its own
coefficients, so that the map is the best in the mean square for its input.

The ridge λ is the least of generalised cross-validation (Golub, Heath, Wahba, 1979) over 10^-10,
.., 10^2 times the mean eigenvalue of the covariance of the modes. It decides between least squares
(many samples) and the map of least norm (fewer samples than modes, where least squares alone would
only repeat the training data); the constant is not penalised. Everything is computed in float64 and
shard by shard; the same store gives the same numbers.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.store.reader import Split, Store

RIDGES = 10.0 ** np.arange(-10, 3)
# Bytes of coefficients held at once; beyond it the points of the grid are fitted in parts.
_MOST_BYTES = 2**28


class Baselines(NamedTuple):
    """Relative L2 errors of each test sample, in order: (num_test,) float64."""

    mean: np.ndarray
    linear: np.ndarray

    def figures(self, errors: np.ndarray) -> dict[str, float]:
        """Return the errors of both and the skill of a model with the given `errors` (num_test,).

        Skill is the mean error of the better baseline over that of the model. Standard errors are
        those of a finite test set; that of the skill by the delta method from paired samples. What
        is not finite (a target that is zero) is left out.
        """
        found = {"baseline_mean_l2": self.mean, "baseline_linear_l2": self.linear}
        figures: dict[str, float] = {}
        for key, values in found.items():
            figures |= {key: float(values.mean()), f"{key}_standard_error": _of_mean(values)}
        best = min(self, key=lambda values: float(values.mean()))
        if errors.mean() > 0:
            skill = float(best.mean() / errors.mean())
            moves = best / best.mean() - errors / errors.mean() if skill else np.zeros(len(best))
            figures |= {"skill": skill, "skill_standard_error": skill * _of_mean(moves)}
        return {key: value for key, value in figures.items() if math.isfinite(value)}


def baselines(store: Store, modes: Sequence[int], *, periodic: bool) -> Baselines:
    """Return the errors of the mean predictor and of the linear map on the test split of `store`.

    `modes` is the number of frequencies an axis. Cost: a pass over the training split, two for each
    part of the grid where the coefficients exceed `_MOST_BYTES`, and one over the test split for
    each part; an eigenvalue problem of the size of the number of modes.

    Raises:
        StoreError: a shard is damaged.
    """
    features = _Features(store, modes, periodic)
    columns = int(np.prod(store.target_shape))
    width = max(1, _MOST_BYTES // (8 * features.number))
    parts = [slice(at, min(at + width, columns)) for at in range(0, columns, width)]
    # The covariance of the modes is the same for all parts of the targets.
    first = _moments(store, features, parts[0])
    fit = _Ridge(first)
    # The usual case: one pass serves both the choice of the ridge and the fit.
    if len(parts) == 1:
        fit.see(first)
        fitted = iter([first])
    else:
        for part in parts:
            fit.see(_moments(store, features, part))
        # All parts at once do not fit into memory, so they are read again for the fit.
        fitted = (_moments(store, features, part) for part in parts)
    ridge = fit.best()
    squares = np.zeros((3, store.num_samples("test")))
    for part, moments in zip(parts, fitted, strict=True):
        squares += _squares(store, features, part, moments, fit.coefficients(moments, ridge))
    missed_by_mean, missed_by_map, size = squares
    # A target that is zero has no relative error; `figures` leaves out what comes of it.
    with np.errstate(divide="ignore", invalid="ignore"):
        return Baselines(np.sqrt(missed_by_mean / size), np.sqrt(missed_by_map / size))


def axis_modes(points: int, modes: int, *, periodic: bool) -> np.ndarray:
    """Return the functions whose inner products with a field are its modes: (2·modes - 1, points).

    Weights of the integral included: the rectangle rule on a periodic grid, which leaves out the
    point 1, and the trapezoidal rule on one with both ends. Frequencies that the grid does not
    resolve are left out.
    """
    if periodic:
        x = np.arange(points) / points
        # At points/2 the sine vanishes on the grid.
        k = np.arange(1, min(modes, (points + 1) // 2))[:, None]
        waves = np.concatenate([np.ones((1, points)), *_pairs(2 * np.pi * k * x)])
        return np.asarray(waves / points)
    x = np.linspace(0.0, 1.0, points)
    weights = np.full(points, 1.0 / (points - 1))
    # The trapezoidal rule counts the ends by half.
    weights[[0, -1]] *= 0.5
    k = np.arange(min(2 * modes - 1, points))[:, None]
    return np.asarray(np.cos(np.pi * k * x) * weights)


def _pairs(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Of the size of the constant in the mean square, so that the ridge weighs all modes alike.
    return np.sqrt(2.0) * np.cos(angle), np.sqrt(2.0) * np.sin(angle)


class _Features:
    """The lowest modes of the inputs of a store: a row of `number` values a sample."""

    def __init__(self, store: Store, modes: Sequence[int], periodic: bool) -> None:
        channels, *grid = store.input_shape
        self._axes = [
            axis_modes(points, kept, periodic=periodic)
            for points, kept in zip(grid, modes, strict=True)
        ]
        self.number = channels * math.prod(len(axis) for axis in self._axes)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Return the modes of `inputs` (n, C, *grid): (n, number) float64."""
        rows = np.empty((len(inputs), self.number))
        # Sample by sample: in float64 a shard of large fields would take twice its memory.
        for row, fields in zip(rows, inputs, strict=True):
            values = fields.astype(np.float64)
            for axis in self._axes:
                # Each product moves the next axis to the front of those that are left.
                values = np.tensordot(values, axis, axes=(1, 1))
            row[:] = values.reshape(-1)
        return rows


@dataclass(frozen=True)
class _Moments:
    """Means and centred second moments of features x (p) and targets y (q) of a split."""

    count: int
    mean_x: np.ndarray  # (p,)
    mean_y: np.ndarray  # (q,)
    xx: np.ndarray  # (p, p)
    xy: np.ndarray  # (p, q)
    yy: float  # Σ |y - mean|²


def _moments(store: Store, features: _Features, part: slice) -> _Moments:
    """Return the moments over the training split, of the `part` of the target's values.

    Summed about the first shard's means, so that little cancels.
    """
    count, yy = 0, 0.0
    for x, y in _rows(store, "train", features, part):
        if count == 0:
            shift_x, shift_y = x.mean(0), y.mean(0)
            sum_x, sum_y = np.zeros(x.shape[1]), np.zeros(y.shape[1])
            xx, xy = np.zeros((x.shape[1],) * 2), np.zeros((x.shape[1], y.shape[1]))
        x, y = x - shift_x, y - shift_y
        count += len(x)
        sum_x += x.sum(0)
        sum_y += y.sum(0)
        xx += x.T @ x
        xy += x.T @ y
        yy += float(np.square(y).sum())
    return _Moments(
        count,
        shift_x + sum_x / count,
        shift_y + sum_y / count,
        # Σ (x - mean)(x - mean)ᵀ from sums about any shift.
        xx - np.outer(sum_x, sum_x) / count,
        xy - np.outer(sum_x, sum_y) / count,
        max(0.0, yy - float(sum_y @ sum_y) / count),
    )


def _rows(
    store: Store, split: Split, features: _Features, part: slice
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield features (n, p) and targets (n, q) of each shard, in float64."""
    for index in range(store.num_shards(split)):
        blocks = store.read_shard(split, index)
        targets = blocks["targets"].reshape(len(blocks["targets"]), -1)[:, part]
        yield features(blocks["inputs"]), targets.astype(np.float64)


class _Ridge:
    """Ridge regression in the eigenvectors of the features' covariance."""

    def __init__(self, moments: _Moments) -> None:
        values, self._vectors = np.linalg.eigh(moments.xx)
        # Below this they are rounding.
        keep = values > max(float(values.max()), 0.0) * len(values) * np.finfo(float).eps
        self._values, self._vectors = values[keep], self._vectors[:, keep]
        self._count, self._explained, self._total = moments.count, np.zeros(keep.sum()), 0.0

    def see(self, moments: _Moments) -> None:
        """Take the targets of some points into account for the choice of the ridge."""
        along = self._vectors.T @ moments.xy
        self._explained += np.square(along).sum(1) / self._values
        self._total += moments.yy

    def best(self) -> float:
        """Return the ridge of the least generalised cross-validation; the larger one of equals."""
        if not len(self._values) or self._total == 0.0:
            return 1.0
        # From the largest, because argmin takes the first of equals.
        ridges = RIDGES[::-1] * self._values.mean()
        scores = [self._score(ridge) for ridge in ridges]
        return float(ridges[int(np.argmin(scores))])

    def _score(self, ridge: float) -> float:
        """Return Σ residual² / (n - degrees of freedom)², the constant counted as one of them."""
        shrunk = ridge / (self._values + ridge)
        # What no ridge explains: the part of the targets beyond the features.
        rest = max(0.0, self._total - float(self._explained.sum()))
        missed = rest + float((np.square(shrunk) * self._explained).sum())
        # Each eigenvector counts by the part of it that is not shrunk.
        free = self._count - 1.0 - float((1.0 - shrunk).sum())
        return missed / free**2 if free > 0 else math.inf

    def coefficients(self, moments: _Moments, ridge: float) -> np.ndarray:
        """Return the coefficients (p, q) of the linear map."""
        along = self._vectors.T @ moments.xy
        return np.asarray(self._vectors @ (along / (self._values + ridge)[:, None]))


def _squares(
    store: Store, features: _Features, part: slice, moments: _Moments, coefficients: np.ndarray
) -> np.ndarray:
    """Return Σ |mean - y|², Σ |map - y|² and Σ |y|² over a part of every test sample: (3, n)."""
    found = []
    for x, y in _rows(store, "test", features, part):
        mapped = moments.mean_y + (x - moments.mean_x) @ coefficients
        found.append([np.square(z).sum(1) for z in (moments.mean_y - y, mapped - y, y)])
    return np.concatenate(found, axis=1)


def _of_mean(values: np.ndarray) -> float:
    """Return the standard error of the mean of independent values; NaN of a single one."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
