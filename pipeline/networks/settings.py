"""What the configurations of coordinate networks share."""

from typing import ClassVar, Literal

from pipeline.kinds import Kind


class NetworkKind(Kind):
    """A network of the coordinates of a point."""

    implementation: ClassVar[str] = "network"

    @property
    def polynomial(self) -> Literal["none", "linear", "quadratic"]:
        """Return what polynomial of the coordinates stands beside the network."""
        return "none"

    def num_weights(self, num_inputs: int) -> tuple[int, str]:
        """Return the least number of weights, and the key that makes them many; none by default."""
        return 0, "kind"
