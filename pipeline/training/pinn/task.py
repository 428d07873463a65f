"""The physics-informed task: the squared residual of a PDE at fresh points, on one device.

Loss = mean of (R / scale)², R the residual of the problem from the terms of the run's estimator.
Nothing is stored between steps: points and index sets of a step are functions of (seed, step), so a
resumed run continues bit for bit. The gradients of workers may be added: they share the index sets
and split the points. With `shard: axes` they split the coordinates and the first layer, too
(`pipeline.parallel.axes`).

An estimated residual adds its variance to the mean of its square, so the minimiser of that loss is
biased towards functions for which the estimate varies little (the estimate itself is unbiased). On
the two-body problem at d = 1000 with Σc = 0 and 16 axes the exact solution has loss 0.019, a
network with relative L2 error 0.038 has 0.0005; training ends near the best q(C + a·x), whose error
is 0.035. `loss: unbiased` multiplies two independent estimates, R_J R_K, and takes the gradient
2 stopgrad(R_J) ∇R_K, whose mean is that of the exact square; `exact_gram` has no variance.
Source: Hu et al., arXiv:2307.12306.
"""

import ctypes
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.utils.checkpoint import checkpoint

from pipeline.calculus.compiled import compiled
from pipeline.errors import ConfigError
from pipeline.estimators.base import Estimator, known_terms
from pipeline.kinds import implementation
from pipeline.optimizers.beside_steps import AdamBesideSteps
from pipeline.optimizers.kaczmarz import step as kaczmarz
from pipeline.optimizers.kaczmarz.config import Kaczmarz
from pipeline.parallel.axes import Shard
from pipeline.parallel.shares import share
from pipeline.parallel.world import Alone, World
from pipeline.problems.base import InTime, Problem, Reference, Terms, Trial
from pipeline.training.pinn import choice
from pipeline.training.pinn.a_posteriori import StableProblem, error_bound
from pipeline.training.pinn.ansatz import ansatz, parts
from pipeline.training.pinn.config import PinnRun
from pipeline.training.pinn.held_out import HeldOut
from pipeline.training.pinn.skill import RelativeErrors, relative_errors

# Streams of random numbers: a new purpose gets a new number.
_MODEL, _POINTS, _AXES, _TEST, _RAY, _BOUND, _HELD_OUT, _HELD_OUT_AXES = range(8)

# Points of a chunk, and its most bytes: beyond 16,000 inputs chunks are smaller.
_TEST_CHUNK, _TEST_CHUNK_BYTES = 1000, 2**26
# Test points are kept in memory up to this size and drawn anew at each evaluation beyond it.
_TEST_CACHE_BYTES = 2**28
_NUM_SCATTER = 500
# Parameters of mallopt, from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
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
    """One PINN run: the model, its loss at a step, and its errors on fixed test points."""

    def __init__(
        self,
        run: PinnRun,
        seed: int,
        device: torch.device,
        store: Any = None,
        world: World | None = None,
    ):
        if store is not None:
            raise ConfigError(
                f"{run.problem.kind}: expected no dataset (a PINN draws its points), got {store!r};"
                f" remove `dataset` from the run"
            )
        _keep_freed_memory()
        self.run = run
        self.seed = seed
        self.device = torch.device(device)
        self.num_steps: int = run.train.num_steps
        self.samples_per_step: int = run.train.batch_size
        self.shard = _shard(run, world or Alone())
        self.is_divided = self.shard is not None
        self.is_compiled = run.train.compile
        self.problem = self._problem(torch.float32)
        model = implementation(run.model).build(
            run.model,
            self.problem.num_inputs,
            self.problem.radius,
            self.problem.final_time if isinstance(self.problem, InTime) else None,
            self.shard,
            _generator(seed, _MODEL),
        )
        self.model: nn.Module = model.to(self.device)
        self.estimator: Estimator = implementation(run.estimator).build(
            run.estimator, self.problem, parts(self.model)[0]
        )
        self._residual, self._mean_square = self._estimate, self._estimated_square
        if run.train.compile:
            self._compile()
        size = 4 * run.train.num_test_points * self._num_coordinates
        self._test = list(self._draw_test()) if size <= _TEST_CACHE_BYTES else None
        self._known: list[Reference] | None = None
        self._held_out = self._build_held_out()

    def _problem(self, dtype: torch.dtype) -> Problem:
        """Return the problem, on the axes of this process where these are divided."""
        kind = implementation(self.run.problem).Problem
        parts = () if self.shard is None else (self.shard,)
        problem: Problem = kind(self.run.problem, self.device, dtype, *parts)
        return problem

    @property
    def _num_coordinates(self) -> int:
        """Return the number of coordinates of a point that this process holds."""
        return self.problem.num_inputs if self.shard is None else self.shard.num_axes

    def _every_point(self) -> AbstractContextManager[None]:
        """Let every rank evaluate all points, and not its share of them, within a block."""
        return nullcontext() if self.shard is None else self.shard.every_point()

    def configure_optimizer(self, model: nn.Module) -> tuple[Optimizer, LRScheduler]:
        """Return Adam and the decay of its learning rate to zero at `num_steps`.

        The noise of fresh points keeps the error at a level that falls with the rate: half a cosine
        spends more steps at low rates than the published linear decay. Adam moves each of the d
        weights of a unit by about the rate, and the unit by up to √d |x| times as much: at high d
        the first layer may need a lower one. Steps of a polynomial are whole ones for most of the
        run, and fall linearly over its last fifth.
        """
        rate, settings = self.run.train.learning_rate, self.run.train.optimizer
        if settings.kind == "kaczmarz":
            network, polynomial = parts(model)
            assert polynomial is not None
            beside = AdamBesideSteps(
                list(network.parameters()), list(polynomial.parameters()), rate
            )
            return beside, LambdaLR(beside, [self._late_cosine, self._last_fifth])
        optimizer = Adam(_groups(model, rate, settings.first_layer_rate), lr=rate, fused=True)
        decay = self._cosine if settings.decay == "cosine" else self._linear
        return optimizer, LambdaLR(optimizer, decay)

    def _cosine(self, step: float) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / self.num_steps)))

    def _late_cosine(self, step: int) -> float:
        first = self._network_from()
        if step < first:
            return 0.0
        return self._cosine(self.num_steps * (step - first) / max(1, self.num_steps - first))

    def _network_from(self) -> int:
        """Return the step from which the network takes part."""
        settings = self.run.train.optimizer
        return (
            math.ceil(settings.network_after * self.num_steps) if settings.kind == "kaczmarz" else 0
        )

    def _linear(self, step: int) -> float:
        return max(0.0, 1.0 - step / self.num_steps)

    def _last_fifth(self, step: int) -> float:
        return min(1.0, 5.0 * self._linear(step))

    def loss(self, model: nn.Module, step: int, rank: int, world_size: int) -> Tensor:
        """Return this rank's part of the mean squared scaled residual over the step's points.

        `model` is the bare network. All ranks draw the same `batch_size` points and axes from
        (seed, step) and keep their share of the points: the sum over ranks of the parts, and of
        their gradients, does not depend on `world_size` (up to rounding). Where axes are divided
        they keep their coordinates of all points until these are summed.
        """
        x = self.problem.sample(self.samples_per_step, _generator(self.seed, _POINTS, step))
        if self.shard is None:
            x = x[share(self.samples_per_step, rank, world_size)]
        settings, is_squared = self.run.train.optimizer, self.run.train.loss == "squared"
        if settings.kind == "kaczmarz":
            trial, source, free = self._with_steps(settings, model, x, step)
            if is_squared or step < self._network_from():
                return free.square().sum() / self.samples_per_step
        else:
            trial = ansatz(self.problem, model)
            if is_squared:
                return self._squared_loss(trial, x, step)
            free, source = self._residual(trial, x, self._drawn(step, 0))
        with torch.no_grad():
            drawn = [self._drawn(step, 1 + k) for k in range(self.run.train.index_sets)]
            others = [self._residual(trial, x, of_set, source)[0] for of_set in drawn]
            known = torch.stack(others).mean(0)
        # The value R_J R_K with the gradient of 2 stopgrad(R_J) R_K.
        product = 2.0 * known * free - (known * free).detach()
        return product.sum() / self.samples_per_step

    def _squared_loss(self, u: Trial, x: Tensor, step: int) -> Tensor:
        """Return the part of the points `x` in the mean square of the residual, over index sets."""
        sets = [self._drawn(step, k) for k in range(self.run.train.index_sets)]
        if len(sets) == 1:
            return self._mean_square(u, x, sets[0])
        source = self.problem.source(x)
        # Gradients are accumulated set by set: the backward pass computes each set anew.
        again = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
        return torch.stack([again(self._mean_square, u, x, drawn, source) for drawn in sets]).mean()

    def _with_steps(
        self, settings: Kaczmarz, model: nn.Module, x: Tensor, step: int
    ) -> tuple[Trial, Tensor, Tensor]:
        """Set the steps of the polynomial; return ansatz, source and scaled residual (n,).

        While the network is zero its derivatives are, too: they are not computed.
        """
        network, polynomial = parts(model)
        assert polynomial is not None
        values = kaczmarz.Values.of(polynomial, x)
        trial = self.problem.trial(network).plus(values.known())
        assert trial.offset is not None
        if step < self._network_from():
            terms = known_terms(trial.offset, x, self.problem.operator)
            residual, source = self._scaled(x, terms)
        else:
            residual, source = self._residual(trial, x, self._drawn(step, 0))
        kaczmarz.set_steps(polynomial, x, residual, values, settings)
        return trial, source, residual

    def _drawn(self, step: int, index: int) -> Tensor | None:
        """Return the index set `index` of a step."""
        return self.estimator.draw(self.problem.operator, _generator(self.seed, _AXES, step, index))

    def _estimate(
        self, u: Trial, x: Tensor, drawn: Tensor | None, source: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the scaled residual from what was drawn, (n,), and the source, as given if it is.

        A pure function of tensors.
        """
        return self._scaled(x, self._terms(u, x, drawn), source)

    def _estimated_square(
        self, u: Trial, x: Tensor, drawn: Tensor | None, source: Tensor | None = None
    ) -> Tensor:
        """Return what the points `x` add to the mean square of the residual over a whole step."""
        return self._estimate(u, x, drawn, source)[0].square().sum() / self.samples_per_step

    def _compile(self) -> None:
        """Let torch compile what a step computes.

        Raises:
            ConfigError: it cannot, or there is no compiler.
        """
        trial = ansatz(self.problem, self.model)
        known = (trial.factor, trial.offset)
        if not all(part is None or part.closed for part in known):
            raise ConfigError(
                f"train.compile: expected false for {self.run.problem.kind}, of whose ansatz a part"
                " has no derivatives in closed form, got true"
            )
        self._residual = compiled(self._estimate, self.device)
        self._mean_square = compiled(self._estimated_square, self.device)

    def _terms(self, u: Trial, x: Tensor, drawn: Tensor | None) -> Terms:
        """Return the terms in the dtype of `x`, the network in the run's precision."""
        low = self.run.train.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            return self.estimator(u, x, self.problem.operator, drawn)

    def _scaled(
        self, x: Tensor, terms: Terms, source: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the scaled residual, (n,), and the source, as given if it is."""
        # The source comes after the estimate: the other order gives its temporary memory back to
        # the system at each step and fetches it again, a quarter of the time at d = 10,000.
        source = self.problem.source(x) if source is None else source
        return self.problem.residual(x, terms, source) / self.problem.residual_scale, source

    def _build_held_out(self) -> HeldOut | None:
        settings = self.run.train.early_stopping
        if settings is None:
            return None
        operator = self.problem.operator
        draws_nothing = self.estimator.draw(operator, torch.Generator()) is None
        return HeldOut(
            self.problem,
            settings.num_points,
            1 if draws_nothing else settings.index_sets,
            points=partial(_generator, self.seed, _HELD_OUT),
            axes=partial(_generator, self.seed, _HELD_OUT_AXES),
            device=self.device,
        )

    def held_out(self, rank: int, world_size: int) -> Tensor:
        """Return the mean squared scaled residual of each group of held-out points, (g,) float64.

        See `HeldOut`; with `early_stopping` only. In float32 also where training takes bfloat16,
        whose rounding would be the floor of the residual.
        """
        assert self._held_out is not None
        trial = ansatz(self.problem, self.model)

        def residual(x: Tensor, source: Tensor, generator: torch.Generator) -> Tensor:
            operator = self.problem.operator
            drawn = self.estimator.draw(operator, generator)
            return self._scaled(x, self.estimator(trial, x, operator, drawn), source)[0]

        if self.shard is None:
            return self._held_out.squares(residual, rank, world_size)
        # All ranks evaluate every group together.
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
            "reference_error": self._reference_error(),
            **self._error_bound(model),
        }

    def prediction(self, model: nn.Module) -> dict[str, np.ndarray]:
        """Return a small sample for the report, and what determines the problem.

        Keys: `exact`, `prediction` (500,): both at test points, to be plotted against each other;
        `ray_radius`, `ray_exact`, `ray_prediction` (201,): u along one random direction of space
        against the distance from the origin in units of the largest; `ray_distance` (201,): that
        distance itself; `ray_time` (): the time on the ray, NaN for a problem without time; those
        of `Problem.description`. NaN is where the exact solution is not known.
        """
        with torch.no_grad(), self._every_point():
            return self._prediction(model)

    def _prediction(self, model: nn.Module) -> dict[str, np.ndarray]:
        radius = torch.linspace(0.0, 1.0, 201, device=self.device)
        ray = self.problem.ray(radius, _generator(self.seed, _RAY))
        trial = ansatz(self.problem, model)
        exact, predicted = list[Tensor](), list[Tensor]()
        for x in self._draw_test(_NUM_SCATTER):
            exact.append(self.problem.reference(x).value)
            predicted.append(trial(x))
        fields = {
            "exact": torch.cat(exact),
            "prediction": torch.cat(predicted),
            "ray_radius": radius,
            "ray_distance": self.problem.radius * radius,
            "ray_time": ray[0, -1] if isinstance(self.problem, InTime) else torch.tensor(math.nan),
            "ray_exact": self.problem.reference(ray).value,
            "ray_prediction": trial(ray),
            **self.problem.description(),
        }
        return {key: value.cpu().numpy() for key, value in fields.items()}

    def description(self) -> dict[str, Any]:
        """Return the shapes of the network."""
        return self.run.shapes()

    def epoch(self, step: int) -> float:
        """Return the fraction of the run done at `step`: fresh points know no epochs."""
        return step / self.num_steps

    @torch.no_grad()
    def _errors(self, model: nn.Module) -> RelativeErrors:
        trial = ansatz(self.problem, model)
        chunks = self._draw_test() if self._test is None else self._test
        with self._every_point():
            return relative_errors(
                (reference.value, trial(x), *self.problem.trivial(x))
                for x, reference in zip(chunks, self._references(), strict=True)
            )

    @torch.no_grad()
    def _references(self) -> list[Reference]:
        """Return the solution at the test points, chunk by chunk, computed once."""
        if self._known is None:
            chunks = self._draw_test() if self._test is None else self._test
            with self._every_point():
                self._known = [self.problem.reference(x) for x in chunks]
        return self._known

    def _reference_error(self) -> float:
        """Return the relative L2 size of the 95% intervals of the reference, 0 if it is exact."""
        known = self._references()
        squares = sum(float(r.value.double().square().sum()) for r in known)
        errors = sum(0.0 if r.error is None else float(r.error.square().sum()) for r in known)
        return math.sqrt(errors / squares)

    def _error_bound(self, model: nn.Module) -> dict[str, float]:
        if not isinstance(self.problem, StableProblem):
            return {}
        problem = self._problem(torch.float64)
        assert isinstance(problem, StableProblem)
        most = min(_MOST_BOUND_POINTS, _MOST_BOUND_NUMBERS // problem.num_inputs)
        num_points = min(self.run.train.num_test_points, most)
        with self._every_point():
            return error_bound(problem, model, num_points, _generator(self.seed, _BOUND))

    def _draw_test(self, number: int | None = None) -> Iterator[Tensor]:
        """Yield the test points, or `number` points, chunk by chunk, always the same."""
        left = self.run.train.num_test_points if number is None else number
        size = min(_TEST_CHUNK, max(1, _TEST_CHUNK_BYTES // (4 * self.problem.num_inputs)))
        for chunk in count():
            wanted = min(left, size)
            x = self.problem.sample_test(wanted, _generator(self.seed, _TEST, chunk))
            yield x
            left -= wanted
            # A problem may know its solution at fewer points than were asked for.
            if left <= 0 or len(x) < wanted:
                return


def _shard(run: PinnRun, world: World) -> Shard | None:
    if run.train.shard == "points":
        return None
    return Shard(run.problem.dim, world.rank, world.size, world.all_reduce)


def _groups(model: nn.Module, rate: float, first_layer_rate: float) -> list[dict[str, Any]]:
    """Return the parameters of `model` with their rates, the weights of the first layer apart."""
    if first_layer_rate == 1.0:
        return [{"params": list(model.parameters())}]
    first, *others = model.parameters()
    return [{"params": [first], "lr": first_layer_rate * rate}, {"params": others}]


def _keep_freed_memory() -> None:
    """Let the C library keep the memory that a step frees for the next step.

    glibc returns large blocks to the system and gets them again as pages that are to be cleared: a
    quarter of the time of a step at d = 100, and at d = 100,000, where its own adaptation ends.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _generator(seed: int, stream: int, *index: int) -> torch.Generator:
    """Return a CPU generator for (seed, stream, *index); distinct ones are independent.

    But for zeros at the end, which do not count.
    """
    state = np.random.SeedSequence((seed, stream, *index)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))
