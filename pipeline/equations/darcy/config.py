"""Configuration of Darcy flow."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pipeline.equations.settings import SampledEquation
from pipeline.limits import InverseLength, Magnitude, Smoothness


class Darcy(SampledEquation):
    """-div(a grad u) = 1 on the unit square, u = 0 on its boundary, two-valued random a."""

    error_of: ClassVar[str] = "L², space"
    num_axes: ClassVar[int] = 2
    periodic: ClassVar[bool] = False
    # First order where the coefficient jumps: a few per cent on 64 x 64 points.
    default_tolerance: ClassVar[float] = 0.1

    kind: Literal["darcy"]
    low: Magnitude = 3.0
    high: Magnitude = 12.0
    smoothness: Smoothness = 2.0
    inverse_length: InverseLength = 3.0
    tolerance: Annotated[float, Field(ge=1e-30, le=1.0)] = 1.0e-10
