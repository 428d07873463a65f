"""The mean of the losses of successive steps, and its standard error from the noise of steps."""

import math
from dataclasses import dataclass


@dataclass
class RunningMean:
    """The mean of values that come one by one, and the standard error of their noise in it.

    Losses follow a trend, so that their spread about the mean is not their noise. The variance of
    the noise is taken from successive values, σ² ≈ Σ (x_i+1 - x_i)² / (2 (n - 1)) (von Neumann,
    1941): a trend adds half the square of what it does in one step. The standard error σ/√n is
    right if the noise of one step is independent of that of the next, as that of fresh points is.
    What a step's noise does to later losses by way of the parameters belongs to the trend.
    """

    total: float = 0.0
    count: int = 0
    last: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Take one more value into account."""
        if self.count:
            self.squares += (value - self.last) ** 2
        self.total += value
        self.count += 1
        self.last = value

    @property
    def mean(self) -> float:
        """Return the mean of the values; there is at least one."""
        return self.total / self.count

    @property
    def standard_error(self) -> float | None:
        """Return the standard error of the mean, None for fewer than two values."""
        if self.count < 2:
            return None
        return math.sqrt(self.squares / (2 * (self.count - 1) * self.count))
