"""Configuration of the problem `three_body`."""

from typing import ClassVar, Literal

from pipeline.problems.settings import Inseparable


class ThreeBody(Inseparable):
    """Inseparable three-body solution on the unit ball."""

    lifecycle = "experimental"
    bodies: ClassVar[int] = 3

    kind: Literal["three_body"]
