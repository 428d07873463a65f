"""What the configurations of optimisers share."""

from typing import ClassVar

from pipeline.kinds import Kind


class OptimizerKind(Kind):
    """An optimiser of a PINN.

    divides_points: workers may divide the points of a batch.
    moves_polynomial: it moves the polynomial of the network by steps of its own.
    """

    implementation: ClassVar[str] = "optimizer"
    divides_points: ClassVar[bool] = True
    moves_polynomial: ClassVar[bool] = False

    @property
    def trains_network(self) -> bool:
        """Return whether the network takes part at any step."""
        return True
