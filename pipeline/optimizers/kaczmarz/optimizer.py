"""Natural-gradient steps for the polynomial of a model, and Adam for the network beside it."""

import math
from typing import Any

from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from pipeline.estimators.base import known_terms
from pipeline.networks.polynomial import parts
from pipeline.optimizers import schedules
from pipeline.optimizers.base import Batch
from pipeline.optimizers.gradient import GradientDescent
from pipeline.optimizers.kaczmarz import config
from pipeline.optimizers.kaczmarz.beside import AdamBesideSteps
from pipeline.optimizers.kaczmarz.step import Values, set_steps
from pipeline.optimizers.residual import HasResidual


def build(
    settings: config.Kaczmarz, model: nn.Module, learning_rate: float, num_steps: int
) -> "Kaczmarz":
    """Return the optimiser of a model with a polynomial part."""
    return Kaczmarz(settings, model, learning_rate, num_steps)


class Kaczmarz:
    """Steps of the polynomial from the residuals of a batch; `step` has their formula.

    They have full length for most of the run, and shrink linearly to zero over its last fifth.
    Before the step `network_from` the network is zero, and its derivatives are not computed.
    """

    def __init__(
        self, settings: config.Kaczmarz, model: nn.Module, learning_rate: float, num_steps: int
    ) -> None:
        network, polynomial = parts(model)
        assert polynomial is not None
        self._settings = settings
        self.network_from = first = math.ceil(settings.network_after * num_steps)
        # Before that step the network has no gradient, and Adam keeps no moments for it.
        beside = AdamBesideSteps(
            list(network.parameters()), list(polynomial.parameters()), learning_rate
        )
        rates = [
            # One schedule a group: the network's rate, and the length of the polynomial's steps.
            lambda step: schedules.late_cosine(step, first, num_steps),
            lambda step: schedules.last_fifth(step, num_steps),
        ]
        self._descent = GradientDescent(beside, LambdaLR(beside, rates))

    def update(self, task: HasResidual, batch: Batch) -> float:
        """Move polynomial and network by one batch; return its loss."""
        self._descent.optimizer.zero_grad(set_to_none=True)
        _, polynomial = parts(task.model)
        assert polynomial is not None
        residual, step = task.residual, batch.step
        x = residual.points(step, batch.world.rank, batch.world.size)
        # P enters the ansatz by its values at the points, so that the residual can be
        # differentiated in them.
        values = Values.of(polynomial, x)
        trial = task.with_known(values.known())
        assert trial.offset is not None
        source = None
        if step < self.network_from:
            # The network is zero: u is the known part, whose terms are exact and cost no network.
            terms = known_terms(trial.offset, x, residual.problem.operator)
            free, _ = residual.scaled(x, terms)
        else:
            free, source = residual.estimate(trial, x, step, 0)
        # The steps are the gradients of the polynomial; those of the network come from the loss,
        # in which the values of the polynomial are leaves.
        set_steps(polynomial, x, free, values, self._settings)
        loss = residual.mean_square(free, trial, x, step, source)
        return self._descent.descend(task.model, loss, batch.world)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both parts and their schedules."""
        return self._descent.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the states of both parts and their schedules."""
        self._descent.load_state_dict(state)
