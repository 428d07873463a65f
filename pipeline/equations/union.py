"""The equations that an experiment may name: a line a kind."""

from typing import Annotated

from pydantic import Field

from pipeline.equations.burgers.config import Burgers
from pipeline.equations.darcy.config import Darcy
from pipeline.equations.navier_stokes.config import NavierStokes

AnySampledEquation = Annotated[
    Burgers
    | Darcy,
    Field(discriminator="kind"),
]  # fmt: skip
AnyFlow = NavierStokes
