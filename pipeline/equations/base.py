"""The interface of a generator: the samples of a data set, and estimates of their errors."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from pipeline.equations.settings import SampledEquation
from pipeline.kinds import Grid, implementation

# How `max_error` of a store is meant, beside the number.
MEANING = (
    "empirical estimate of the largest error of a sample, in space and in time, of linear solvers"
    " and of rounding; relative in the L2 norm over the stored points"
)


class Generator(Protocol):
    """One equation on one grid: what `build` of a kind's `generator` returns, of (config, grid).

    Fields have shape (n, C, *grid). `num_inputs` and `num_targets` are C of each, `inputs_are` and
    `targets_are` say in words what they hold, `coordinates` has the nodes along each axis by the
    axis's name.
    """

    num_inputs: int
    num_targets: int
    inputs_are: str
    targets_are: str

    @property
    def coordinates(self) -> Mapping[str, np.ndarray]:
        """Return the nodes along each axis, by its name."""
        ...

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """Return one random input, (C, *grid)."""
        ...

    def solve(self, inputs: np.ndarray) -> np.ndarray:
        """Return the targets of inputs, both (n, C, *grid) float64."""
        ...

    def errors(
        self, inputs: np.ndarray, targets: np.ndarray, streams: Sequence[np.random.Generator]
    ) -> np.ndarray:
        """Return an estimate of the error of every sample of a batch, (n,).

        That is ‖targets - exact‖ / ‖exact‖ over the points of the grid, `exact` the solution of the
        equation itself for the *function* that the input samples: what the grid, the time step and
        linear solvers contribute are all in it. `streams` are generators in the state in which
        `sample` drew the inputs, for equations whose input does not say which function it is.

        Contract: at least half of the true error, on grids that do not resolve the solution as
        well, and not above a tolerance that fits the use where they do. Halving the time step
        alone does not fulfil it: an unresolved solution has little error in time. Solve the same
        function on a finer grid with a smaller step and compare at the stored points, times what
        that grid's own error takes from the difference; or solve it on a coarser one, whose
        distance is larger than the error. Every sample counts: where a second solve of each is too
        expensive, find the worst by a cheap criterion. State the cost. A test compares the estimate
        with the true error in a dozen settings, unresolved ones among them
        (tests/unit/equations/test_stated_errors.py).
        """
        ...

    def remedy(
        self, inputs: np.ndarray, targets: np.ndarray, error: float, tolerance: float
    ) -> str:
        """Return for one sample that misses the tolerance: `in ...; use ...`, for its message."""
        ...


def build(equation: SampledEquation, grid: Grid) -> Generator:
    """Return the generator of `equation` on `grid`."""
    generator: Generator = implementation(equation).build(equation, grid)
    return generator
