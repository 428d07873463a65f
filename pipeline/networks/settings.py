"""What the configurations of coordinate networks share."""

from typing import ClassVar

from pipeline.kinds import Kind


class NetworkKind(Kind):
    """A network of the coordinates of a point."""

    implementation: ClassVar[str] = "network"
