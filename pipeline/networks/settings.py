"""What the configurations of coordinate networks share."""

from typing import ClassVar

from pipeline.kinds import Kind


class NetworkKind(Kind):
    """A network of the coordinates of a point."""

    implementation: ClassVar[str] = "network"

    def num_weights(self, num_inputs: int) -> tuple[int, str]:
        """Return the least number of weights, and the key that makes them many; none by default."""
        return 0, "kind"
