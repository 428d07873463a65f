"""Configuration of the problem `two_body`."""

from typing import ClassVar, Literal

from pipeline.problems.settings import Inseparable


class TwoBody(Inseparable):
    """Inseparable two-body solution on the unit ball."""

    lifecycle = "stable"
    bodies: ClassVar[int] = 2

    kind: Literal["two_body"]
