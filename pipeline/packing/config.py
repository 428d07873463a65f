"""Configuration of a bound."""

from typing import ClassVar

from pydantic import Field

from pipeline.kinds import Frozen, Part
from pipeline.packing.union import AnyFormulation


class SolverSettings(Frozen):
    """Precision of the solver; the verifier does not depend on it."""

    # 84 are the fewest that a search of any dimension and degree ends with.
    precision_bits: int = Field(
        default=512,
        ge=84,
        le=65536,
        description=(
            "Working precision in bits. For two points 512 suffice up to degree 190, 768 up to 280"
            " and 1,024 up to 403; for three points 384. Too few end the search with a line that"
            " asks for more."
        ),
    )


class Bound(Part):
    """An upper bound on the sphere packing density."""

    stage_modules: ClassVar[tuple[str, ...]] = ("pipeline.packing.stage",)

    formulation: AnyFormulation = Field(description="The theorem that gives the bound.")
    solver: SolverSettings = Field(
        default=SolverSettings(), description="How precisely the search computes."
    )
