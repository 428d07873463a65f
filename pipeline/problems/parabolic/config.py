"""Configuration of the problem `parabolic`."""

from typing import Annotated, Literal

from pipeline.kinds import Whole
from pipeline.problems.settings import InTime


class Parabolic(InTime):
    """Semilinear heat equation with a published value at (0.3, 0), known in four dimensions."""

    kind: Literal["parabolic"]
    dim: Annotated[Literal[10, 100, 1000, 10_000], Whole]
    equation: Literal["heat", "allen_cahn", "sine_gordon"]
