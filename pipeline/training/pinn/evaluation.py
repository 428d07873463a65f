"""What a trained PINN is compared with: its solution at fixed test points."""

import math
from collections.abc import Iterator
from itertools import count

import numpy as np
import torch
from torch import Tensor

from pipeline.parallel.generators import run_generator
from pipeline.parallel.streams import Stream
from pipeline.problems.base import InTime, Problem, Reference, Trial
from pipeline.training.pinn.skill import RelativeErrors, relative_errors

# Points of a chunk, and its most bytes: beyond 16,000 inputs chunks are smaller. Each chunk has a
# generator of its own, so that both numbers are part of which test points a seed means.
_CHUNK, _CHUNK_BYTES = 1000, 2**26
# Test points are kept in memory up to this size and drawn anew at each evaluation beyond it.
_CACHE_BYTES = 2**28
_NUM_SCATTER, _NUM_RAY = 500, 201


class Evaluation:
    """Errors of a trial function at `num_points` test points, always the same ones.

    num_coordinates: those of a point that this process holds.
    """

    def __init__(self, problem: Problem, seed: int, num_points: int, num_coordinates: int) -> None:
        self._problem, self._seed, self._num_points = problem, seed, num_points
        size = 4 * num_points * num_coordinates
        self._kept = list(self._draw(num_points)) if size <= _CACHE_BYTES else None
        self._known: list[Reference] | None = None

    def errors(self, trial: Trial) -> RelativeErrors:
        """Return the relative L2 errors of `trial` and of the trivial predictor."""
        return relative_errors(
            (reference.value, trial(x), *self._problem.trivial(x))
            for x, reference in zip(self._points(), self._references(), strict=True)
        )

    def reference_error(self) -> float:
        """Return the relative L2 size of the 95% intervals of the reference, 0 if it is exact."""
        known = self._references()
        squares = sum(float(r.value.double().square().sum()) for r in known)
        errors = sum(0.0 if r.error is None else float(r.error.square().sum()) for r in known)
        return math.sqrt(errors / squares)

    def prediction(self, trial: Trial, device: torch.device) -> dict[str, np.ndarray]:
        """Return a small sample for the report, and what determines the problem.

        Keys: `exact`, `prediction` (500,): both at test points, to be plotted against each other;
        `ray_radius`, `ray_exact`, `ray_prediction` (201,): u along one random direction of space
        against the distance from the origin in units of the largest; `ray_distance` (201,): that
        distance itself; `ray_time` (): the time on the ray, NaN for a problem without time; those
        of `Problem.description`. NaN is where the exact solution is not known.
        """
        problem = self._problem
        radius = torch.linspace(0.0, 1.0, _NUM_RAY, device=device)
        ray = problem.ray(radius, run_generator(self._seed, Stream.RAY))
        exact, predicted = list[Tensor](), list[Tensor]()
        for x in self._draw(_NUM_SCATTER):
            exact.append(problem.reference(x).value)
            predicted.append(trial(x))
        fields = {
            "exact": torch.cat(exact),
            "prediction": torch.cat(predicted),
            "ray_radius": radius,
            "ray_distance": problem.radius * radius,
            "ray_time": ray[0, -1] if isinstance(problem, InTime) else torch.tensor(math.nan),
            "ray_exact": problem.reference(ray).value,
            "ray_prediction": trial(ray),
            **problem.description(),
        }
        return {key: value.cpu().numpy() for key, value in fields.items()}

    def _points(self) -> Iterator[Tensor]:
        return self._draw(self._num_points) if self._kept is None else iter(self._kept)

    def _references(self) -> list[Reference]:
        """Return the solution at the test points, chunk by chunk, computed once."""
        if self._known is None:
            self._known = [self._problem.reference(x) for x in self._points()]
        return self._known

    def _draw(self, number: int) -> Iterator[Tensor]:
        """Yield `number` test points, chunk by chunk, always the same."""
        left = number
        # By the inputs of the problem, also where a process holds some of them: the points are the
        # same for any division.
        size = min(_CHUNK, max(1, _CHUNK_BYTES // (4 * self._problem.num_inputs)))
        for chunk in count():
            wanted = min(left, size)
            generator = run_generator(self._seed, Stream.TEST, chunk)
            x = self._problem.sample_test(wanted, generator)
            yield x
            left -= wanted
            # A problem may know its solution at fewer points than were asked for.
            if left <= 0 or len(x) < wanted:
                return
