"""The formulations that a bound may name: a line a kind."""

from typing import Annotated

from pydantic import Field

from pipeline.packing.three_point.config import ThreePoint
from pipeline.packing.two_point.config import TwoPoint

AnyFormulation = Annotated[
    TwoPoint
    | ThreePoint,
    Field(discriminator="kind"),
]  # fmt: skip
