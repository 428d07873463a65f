"""What training and an optimiser agree on: `update(task, batch)`, one step of the whole model.

An optimiser owns how a batch moves the model: by the gradient of a loss, by the solution of a
linear system in sample space, by a kernel. So no loss knows of an optimiser.
"""

from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

from pipeline.parallel.world import World


class Batch(NamedTuple):
    """The samples of one step, shared by the processes of a world.

    Which samples these are is a function of the run's seed and the step alone.
    """

    step: int
    world: World


class HasLoss(Protocol):
    """A task whose model is moved by the gradient of its loss."""

    model: nn.Module

    def loss(self, model: nn.Module, step: int, rank: int, world_size: int) -> Tensor:
        """Return this rank's part of the mean loss: the parts of all ranks add up to it."""
        ...


T_contra = TypeVar("T_contra", contravariant=True)


class Optimizer(Protocol[T_contra]):
    """Moves the model of a task, batch by batch."""

    def update(self, task: T_contra, batch: Batch) -> float:
        """Move the model by one batch, alike on every rank; return the mean loss before.

        If that is not finite the model is left as it is.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs to go on, by keys of the saved state."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state, of which the keys of `state_dict` are read."""
        ...
