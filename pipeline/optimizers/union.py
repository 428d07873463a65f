"""The optimisers that a PINN may name: a line a kind."""

from typing import Annotated

from pydantic import Field

from pipeline.optimizers.adam.config import Adam
from pipeline.optimizers.kaczmarz.config import Kaczmarz

AnyOptimizer = Annotated[
    Adam
    | Kaczmarz,
    Field(discriminator="kind"),
]  # fmt: skip
