"""The physics-informed task: the squared residual of a PDE at fresh points, on one device.

The gradients of workers may be added: they share the index sets and split the points. With
`shard: axes` they split the coordinates and the first layer, too (`pipeline.parallel.axes`).
"""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.calculus.functions import Function
from pipeline.errors import ConfigError
from pipeline.estimators.base import Estimator
from pipeline.kinds import implementation
from pipeline.networks.polynomial import parts
from pipeline.optimizers.base import Optimizer
from pipeline.parallel.axes import AxisPartition
from pipeline.parallel.generators import run_generator
from pipeline.parallel.streams import Stream
from pipeline.parallel.world import Alone, World
from pipeline.problems.base import InTime, Problem, Trial
from pipeline.training.pinn import choice
from pipeline.training.pinn.a_posteriori import StableProblem, error_bound
from pipeline.training.pinn.allocator import keep_freed_memory
from pipeline.training.pinn.ansatz import ansatz
from pipeline.training.pinn.config import PinnRun
from pipeline.training.pinn.evaluation import Evaluation
from pipeline.training.pinn.held_out import HeldOut
from pipeline.training.pinn.residual import Residual
from pipeline.training.pinn.skill import RelativeErrors

# Points for the bound of the error, fewer above 32,000 inputs.
_MOST_BOUND_POINTS, _MOST_BOUND_NUMBERS = 4000, 2**27


def build(
    run: PinnRun, seed: int, device: torch.device, store: Path | None, world: World
) -> "Task":
    """Return the task of `run` on one process of the `world`."""
    return Task(run, seed, device, store, world)


def settled(
    run: PinnRun, *, name: str, seed: int, digest: str, file: Path
) -> tuple[PinnRun, dict[str, Any]]:
    """Return `run` with its estimator chosen, and the record of the choice (`choice.settled`)."""
    return choice.settled(run, Task, name=name, seed=seed, digest=digest, file=file)


class Task:
    """One PINN run: the model, its residual at a step, and its errors on fixed test points."""

    def __init__(
        self,
        run: PinnRun,
        seed: int,
        device: torch.device,
        store: Path | None = None,
        world: World | None = None,
    ):
        if store is not None:
            raise ConfigError(
                f"{run.problem.kind}: expected no dataset (a PINN draws its points), got {store!r};"
                f" remove `dataset` from the run"
            )
        keep_freed_memory()
        self.run = run
        self.seed = seed
        self.device = torch.device(device)
        self.num_steps: int = run.train.num_steps
        self.samples_per_step: int = run.train.batch_size
        self.partition = _shard(run, world or Alone())
        self.is_divided = self.partition is not None
        self.is_compiled = run.train.compile
        # Before the model, which needs the number of inputs and the size of a typical point.
        self.problem = self._problem(torch.float32)
        self.model = self._model()
        estimator: Estimator = implementation(run.estimator).build(
            run.estimator, self.problem, parts(self.model)[0]
        )
        self.residual = Residual(run, seed, self.problem, estimator, is_divided=self.is_divided)
        # The estimator draws outside and is a pure function of tensors inside: that is compiled.
        if run.train.compile:
            self.residual.compile(ansatz(self.problem, self.model), self.device)
        # Of divided axes a process holds its own coordinates of each test point.
        coordinates = self.problem.num_inputs if self.partition is None else self.partition.num_axes
        self.evaluation = Evaluation(self.problem, seed, run.train.num_test_points, coordinates)
        self._held_out = self._build_held_out()

    def _problem(self, dtype: torch.dtype) -> Problem:
        """Return the problem, on the axes of this process where these are divided."""
        kind = implementation(self.run.problem).Problem
        parts = () if self.partition is None else (self.partition,)
        problem: Problem = kind(self.run.problem, self.device, dtype, *parts)
        return problem

    def _model(self) -> nn.Module:
        model: nn.Module = implementation(self.run.model).build(
            self.run.model,
            self.problem.num_inputs,
            self.problem.radius,
            self.problem.final_time if isinstance(self.problem, InTime) else None,
            self.partition,
            run_generator(self.seed, Stream.MODEL),
        )
        return model.to(self.device)

    def optimizer(self) -> "Optimizer[Task]":
        """Return the optimiser of the run, at its first step."""
        settings = self.run.train
        built: Optimizer[Task] = implementation(settings.optimizer).build(
            settings.optimizer, self.model, settings.learning_rate, self.num_steps
        )
        return built

    def loss(self, model: nn.Module, step: int, rank: int, world_size: int) -> Tensor:
        """Return this rank's part of the mean squared scaled residual over the step's points.

        `model` is the bare network. The sum over ranks of the parts, and of their gradients, does
        not depend on `world_size` (up to rounding).
        """
        x = self.residual.points(step, rank, world_size)
        return self.residual.loss(ansatz(self.problem, model), x, step)

    def with_known(self, known: Function) -> Trial:
        """Return the ansatz of the network alone, with `known` in the place of its polynomial."""
        return self.problem.trial(parts(self.model)[0]).plus(known)

    def held_out(self, rank: int, world_size: int) -> Tensor:
        """Return the mean squared scaled residual of each group of held-out points, (g,) float64.

        See `HeldOut`; with `early_stopping` only. In float32 also where training takes bfloat16,
        whose rounding would be the floor of the residual.
        """
        assert self._held_out is not None
        trial, operator = ansatz(self.problem, self.model), self.problem.operator

        def residual(x: Tensor, source: Tensor, generator: torch.Generator) -> Tensor:
            drawn = self.residual.estimator.draw(operator, generator)
            return self.residual.exact(trial, x, source, drawn)

        if self.partition is None:
            return self._held_out.squares(residual, rank, world_size)
        # All ranks evaluate every group together, and one of them reports it: what is returned is
        # summed over ranks.
        with self._every_point():
            squares = self._held_out.squares(residual, 0, 1)
        return squares if rank == 0 else torch.zeros_like(squares)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return `relative_l2`, `skill` and their standard errors on the fixed test points.

        See `relative_errors`: what another draw of as many test points would change.
        """
        return self._errors(model).figures()

    def final(self, model: nn.Module) -> dict[str, float]:
        """Return the summary: `evaluate`, `trivial_relative_l2` and `reference_error`.

        The last is the relative L2 size of the 95% intervals of the reference: errors below it
        cannot be told from zero. Where a theorem bounds the error by the residual, also its
        `error_bound` and `relative_error_bound`.
        """
        errors = self._errors(model)
        return {
            **errors.figures(),
            "trivial_relative_l2": errors.trivial,
            "reference_error": self.evaluation.reference_error(),
            **self._error_bound(model),
        }

    @torch.no_grad()
    def prediction(self, model: nn.Module) -> dict[str, np.ndarray]:
        """Return a small sample for the report: see `Evaluation.prediction`."""
        with self._every_point():
            return self.evaluation.prediction(ansatz(self.problem, model), self.device)

    def description(self) -> dict[str, Any]:
        """Return the shapes of the network."""
        return self.run.shapes()

    def epoch(self, step: int) -> float:
        """Return the fraction of the run done at `step`: fresh points know no epochs."""
        return step / self.num_steps

    @torch.no_grad()
    def _errors(self, model: nn.Module) -> RelativeErrors:
        with self._every_point():
            return self.evaluation.errors(ansatz(self.problem, model))

    def _error_bound(self, model: nn.Module) -> dict[str, float]:
        if not isinstance(self.problem, StableProblem):
            return {}
        # In float32 the rounding of the Laplacian would be part of the bound.
        problem = self._problem(torch.float64)
        assert isinstance(problem, StableProblem)
        # Of a stream of their own: independent of the points that training and evaluation use.
        most = min(_MOST_BOUND_POINTS, _MOST_BOUND_NUMBERS // problem.num_inputs)
        num_points = min(self.run.train.num_test_points, most)
        generator = run_generator(self.seed, Stream.ERROR_BOUND)
        with self._every_point():
            return error_bound(problem, model, num_points, generator)

    def _every_point(self) -> AbstractContextManager[None]:
        """Let every rank evaluate all points, and not its share of them, within a block."""
        return nullcontext() if self.partition is None else self.partition.every_point()

    def _build_held_out(self) -> HeldOut | None:
        settings = self.run.train.early_stopping
        if settings is None:
            return None
        operator = self.problem.operator
        # Asked by drawing once: estimators are told apart by nothing else.
        draws_nothing = self.residual.estimator.draw(operator, torch.Generator()) is None
        return HeldOut(
            self.problem,
            settings.num_points,
            1 if draws_nothing else settings.index_sets,
            points=partial(run_generator, self.seed, Stream.HELD_OUT_POINTS),
            axes=partial(run_generator, self.seed, Stream.HELD_OUT_AXES),
            device=self.device,
        )


def _shard(run: PinnRun, world: World) -> AxisPartition | None:
    if run.train.shard == "points":
        return None
    return AxisPartition(run.problem.dim, world.rank, world.size, world.all_reduce)
