"""The root of a mean of independent squares, with its standard error."""

import math
from typing import NamedTuple

from torch import Tensor


class Figure(NamedTuple):
    """The root mean square of the residual and the standard error of it."""

    value: float
    standard_error: float


def root(squares: Tensor) -> Figure:
    """Return the root of the mean of independent `squares` (g,) and its standard error.

    A mean that is negative, which says no more than that it is small beside its error, has root 0.
    The error is that upward, √(m + s) - √m for a mean m of error s: s / 2√m to first order, and
    finite at zero. Asymptotic in the number of groups.
    """
    mean, error = mean_and_error(squares)
    value = math.sqrt(max(mean, 0.0))
    return Figure(value, math.sqrt(max(mean, 0.0) + error) - value)


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """Return the mean of independent values and its standard error."""
    return float(values.mean()), float(values.std()) / math.sqrt(len(values))
