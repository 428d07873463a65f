"""The physics-informed task: the squared residual of a PDE at fresh points, on one device.

Loss = mean of (R / (2d))², R = Δu + g(u) - f with Δu from the run's estimator. Nothing is stored
between steps: points and axes of a step are functions of (seed, step), so a resumed run continues
bit for bit. The gradients of workers may be added: they share the axes and split the points.

A sampled Laplacian adds its variance to the mean of the squared residual, so the minimiser of the
loss is biased towards functions whose ∂²u/∂x_i² vary little with i (the estimate itself is
unbiased). On the two-body problem at d = 1000 with Σc = 0 and 16 axes the exact solution has loss
0.019, a network with relative L2 error 0.038 has 0.0005; training ends near the best q(C + a·x),
whose error is 0.035. Source: Hu et al., arXiv:2307.12306.
"""

import importlib
import math
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from pipeline import config
from pipeline.errors import ConfigError
from pipeline.estimators.base import HardConstrained, LaplacianEstimator
from pipeline.problems.two_body import Problem, RelativeErrors, relative_errors
from pipeline.training.task import share

# Streams of random numbers: a new purpose gets a new number.
_MODEL, _POINTS, _AXES, _TEST, _RAY = range(5)

_TEST_CHUNK = 1000
# Test points are kept in memory up to this size and drawn anew at each evaluation beyond it.
_TEST_CACHE_BYTES = 2**28
_NUM_SCATTER = 500


class Task:
    """One PINN run: the model, its loss at a step, and its errors on fixed test points."""

    def __init__(self, run: config.PinnRun, seed: int, device: torch.device, store: Any = None):
        if store is not None:
            raise ConfigError(
                f"{run.problem.kind}: expected no dataset (a PINN draws its points), got {store!r};"
                f" remove `dataset` from the run"
            )
        self.run = run
        self.seed = seed
        self.device = torch.device(device)
        self.num_steps: int = run.train.num_steps
        self.samples_per_step: int = run.train.batch_size
        self.problem: Problem = _module("problems", run.problem.kind).Problem(
            run.problem, self.device, torch.float32
        )
        self.estimator: LaplacianEstimator = _module("estimators", run.estimator.kind).build(
            run.estimator
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_generator(seed, _MODEL).initial_seed())
            model = _module("models", run.model.kind).build(run.model, run.problem.dim)
        self.model: nn.Module = model.to(self.device)
        size = 4 * run.train.num_test_points * run.problem.dim
        self._test = list(self._draw_test()) if size <= _TEST_CACHE_BYTES else None

    def configure_optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler]:
        """Return Adam and the decay of its learning rate by half a cosine to zero at `num_steps`.

        The noise of fresh points keeps the error at a level that falls with the rate: the cosine
        spends more steps at low rates than the published linear decay.
        """
        optimizer = Adam(model.parameters(), lr=self.run.train.learning_rate)
        return optimizer, LambdaLR(optimizer, self._decay)

    def _decay(self, step: int) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / self.num_steps)))

    def loss(self, model: nn.Module, step: int, rank: int, world_size: int) -> Tensor:
        """Return this rank's part of the mean squared scaled residual over the step's points.

        `model` is the bare network. All ranks draw the same `batch_size` points and axes from
        (seed, step) and keep their share of the points: the sum over ranks of the parts, and of
        their gradients, does not depend on `world_size` (up to rounding).
        """
        points = self.problem.sample(self.samples_per_step, _generator(self.seed, _POINTS, step))
        x = points[share(self.samples_per_step, rank, world_size)]
        u, laplacian = self._estimate(model, x, _generator(self.seed, _AXES, step))
        residual = self.problem.residual(u, laplacian, self.problem.source(x))
        return (residual / self.problem.residual_scale).square().sum() / self.samples_per_step

    def _estimate(
        self, model: nn.Module, x: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return u and its Laplacian in the dtype of `x`, the network in the run's precision."""
        low = self.run.train.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            u, laplacian = self.estimator(HardConstrained(model, self.problem), x, generator)
        return u.to(x.dtype), laplacian.to(x.dtype)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return `relative_l2` and `skill` (see `relative_errors`) on the fixed test points."""
        errors = self._errors(model)
        return {"relative_l2": errors.model, "skill": errors.skill}

    def final(self, model: nn.Module) -> dict[str, float]:
        """Return the summary: `relative_l2`, `skill`, `trivial_relative_l2`."""
        errors = self._errors(model)
        return {
            "relative_l2": errors.model,
            "skill": errors.skill,
            "trivial_relative_l2": errors.trivial,
        }

    @torch.no_grad()
    def prediction(self, model: nn.Module) -> dict[str, np.ndarray]:
        """Return a small sample for the report, and the coefficients of the problem.

        Keys: `exact`, `prediction` (500,): both at test points, to be plotted against each other;
        `ray_radius`, `ray_exact`, `ray_prediction` (201,): u against the distance |x| from the
        origin along one random direction; `coefficients` (d-1,): c in float64.
        """
        points = self.problem.sample(_NUM_SCATTER, _generator(self.seed, _TEST))
        direction = self.problem.sample(1, _generator(self.seed, _RAY))
        radius = torch.linspace(0.0, 1.0, 201, device=self.device)
        ray = radius[:, None] * direction / direction.norm()
        trial = HardConstrained(model, self.problem)
        fields = {
            "exact": self.problem.exact(points),
            "prediction": trial(points),
            "ray_radius": radius,
            "ray_exact": self.problem.exact(ray),
            "ray_prediction": trial(ray),
        }
        sample = {key: value.cpu().numpy() for key, value in fields.items()}
        return {**sample, "coefficients": self.problem.coefficients}

    def epoch(self, step: int) -> float:
        """Return the fraction of the run done at `step`: fresh points know no epochs."""
        return step / self.num_steps

    @torch.no_grad()
    def _errors(self, model: nn.Module) -> RelativeErrors:
        trial = HardConstrained(model, self.problem)
        chunks = self._draw_test() if self._test is None else self._test
        return relative_errors(
            (exact, trial(x), self.problem.boundary_factor(x)) for x, exact in chunks
        )

    def _draw_test(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the test points and the exact solution there, chunk by chunk, always the same."""
        left = self.run.train.num_test_points
        for chunk in count():
            if left <= 0:
                return
            x = self.problem.sample(min(left, _TEST_CHUNK), _generator(self.seed, _TEST, chunk))
            yield x, self.problem.exact(x)
            left -= len(x)


def _module(package: str, kind: str) -> Any:
    """Import `pipeline.<package>.<kind>`: editing one kind reruns only the runs that use it."""
    return importlib.import_module(f"pipeline.{package}.{kind}")


def _generator(seed: int, stream: int, index: int = 0) -> torch.Generator:
    """Return a CPU generator for (seed, stream, index); distinct triples are independent."""
    state = np.random.SeedSequence((seed, stream, index)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))
