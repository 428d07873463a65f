"""The scaled residual of a run's problem at the points of a step, and its mean square.

Points and index sets of a step are functions of (seed, step): nothing is stored between steps, so a
resumed run continues bit for bit. All ranks draw the same points and axes and keep their share of
the points, or, where axes are divided, their coordinates of all points.

An estimated residual adds its variance to the mean of its square, so the minimiser of that loss is
biased towards functions for which the estimate varies little (the estimate itself is unbiased). On
the two-body problem at d = 1000 with Σc = 0 and 16 axes the exact solution has loss 0.019, a
network with relative L2 error 0.038 has 0.0005; training ends near the best q(C + a·x), whose error
is 0.035. `loss: unbiased` multiplies two independent estimates, R_J R_K, and takes the gradient
2 stopgrad(R_J) ∇R_K, whose mean is that of the exact square; `exact_gram` has no variance.
Source: Hu et al., arXiv:2307.12306.
"""

from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pipeline.calculus.compiled import compiled
from pipeline.errors import ConfigError
from pipeline.estimators.base import Estimator
from pipeline.parallel.generators import run_generator
from pipeline.parallel.shares import share
from pipeline.parallel.streams import Stream
from pipeline.problems.base import Problem, Terms, Trial
from pipeline.training.pinn.config import PinnRun


class Residual:
    """R / scale at fresh points, R the residual from the terms of the run's estimator.

    `is_divided` is whether every process has some of the axes alone.
    """

    def __init__(
        self, run: PinnRun, seed: int, problem: Problem, estimator: Estimator, *, is_divided: bool
    ) -> None:
        self.problem, self.estimator = problem, estimator
        self._settings, self._kind, self._seed = run.train, run.problem.kind, seed
        self._is_divided = is_divided
        self._num_points = run.train.batch_size
        # What torch may have compiled.
        self._residual, self._square = self._estimated, self._estimated_square

    def points(self, step: int, rank: int, world_size: int) -> Tensor:
        """Return this rank's points of a step, (n, m)."""
        generator = run_generator(self._seed, Stream.POINTS, step)
        # All points on every rank: a share of the draws would depend on the number of workers.
        x = self.problem.sample(self._num_points, generator)
        return x if self._is_divided else x[share(self._num_points, rank, world_size)]

    def loss(self, u: Trial, x: Tensor, step: int) -> Tensor:
        """Return the part of the points `x` in the mean squared residual of a step."""
        if self._settings.loss == "squared":
            return self._squared(u, x, step)
        free, source = self.estimate(u, x, step, 0)
        return self.mean_square(free, u, x, step, source)

    def mean_square(
        self, free: Tensor, u: Trial, x: Tensor, step: int, source: Tensor | None
    ) -> Tensor:
        """Return the loss from the residual `free` (n,), the first estimate of a step.

        For the squared loss, and without a `source`, this is the mean square of `free`; otherwise
        the mean product of `free` and independent estimates, which have no gradient.
        """
        if self._settings.loss == "squared" or source is None:
            # By the points of all ranks, so that the parts add up to the mean.
            return free.square().sum() / self._num_points
        with torch.no_grad():
            # Set 0 is that of `free`: the factors have to be independent.
            sets = range(1, 1 + self._settings.index_sets)
            others = [self.estimate(u, x, step, index, source)[0] for index in sets]
            known = torch.stack(others).mean(0)
        # The value R_J R_K with the gradient of 2 stopgrad(R_J) R_K.
        product = 2.0 * known * free - (known * free).detach()
        return product.sum() / self._num_points

    def estimate(
        self, u: Trial, x: Tensor, step: int, index: int, source: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the residual (n,) from index set `index` of a step, and the source."""
        return self._residual(u, x, self.drawn(step, index), source)

    def drawn(self, step: int, index: int) -> Tensor | None:
        """Return the index set `index` of a step."""
        generator = run_generator(self._seed, Stream.AXES, step, index)
        return self.estimator.draw(self.problem.operator, generator)

    def scaled(
        self, x: Tensor, terms: Terms, source: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the residual (n,) from its terms, and the source term, as given if it is."""
        # The source comes after the estimate: the other order gives its temporary memory back to
        # the system at each step and fetches it again, a quarter of the time at d = 10,000.
        source = self.problem.source(x) if source is None else source
        return self.problem.residual(x, terms, source) / self.problem.residual_scale, source

    def exact(self, u: Trial, x: Tensor, source: Tensor, drawn: Tensor | None) -> Tensor:
        """Return the residual (n,) in float32, also where training takes bfloat16."""
        return self.scaled(x, self.estimator(u, x, self.problem.operator, drawn), source)[0]

    def compile(self, u: Trial, device: torch.device) -> None:
        """Let torch compile what a step computes of the ansatz `u`.

        Raises:
            ConfigError: it cannot, or there is no compiler.
        """
        known = (u.factor, u.offset)
        if not all(part is None or part.closed for part in known):
            raise ConfigError(
                f"train.compile: expected false for {self._kind}, of whose ansatz a part has no"
                " derivatives in closed form, got true"
            )
        self._residual = compiled(self._estimated, device)
        self._square = compiled(self._estimated_square, device)

    def _squared(self, u: Trial, x: Tensor, step: int) -> Tensor:
        """Return the part of the points `x` in the mean square of the residual, over index sets."""
        sets = [self.drawn(step, index) for index in range(self._settings.index_sets)]
        if len(sets) == 1:
            return self._square(u, x, sets[0])
        # The source does not depend on the index set.
        source = self.problem.source(x)
        # Gradients are accumulated set by set: the backward pass computes each set anew.
        again = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
        return torch.stack([again(self._square, u, x, drawn, source) for drawn in sets]).mean()

    def _estimated(
        self, u: Trial, x: Tensor, drawn: Tensor | None, source: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the residual from what was drawn, (n,), and the source, as given if it is.

        A pure function of tensors.
        """
        return self.scaled(x, self.terms(u, x, drawn), source)

    def _estimated_square(
        self, u: Trial, x: Tensor, drawn: Tensor | None, source: Tensor | None = None
    ) -> Tensor:
        """Return the part of the points `x` in the mean square of the residual of a step."""
        return self._estimated(u, x, drawn, source)[0].square().sum() / self._num_points

    def terms(self, u: Trial, x: Tensor, drawn: Tensor | None) -> Terms:
        """Return the terms in the dtype of `x`, the network in the run's precision."""
        low = self._settings.precision == "bfloat16"
        with torch.autocast(x.device.type, torch.bfloat16, enabled=low):
            return self.estimator(u, x, self.problem.operator, drawn)
