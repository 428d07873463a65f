"""Configuration of a bound."""

from typing import Annotated, ClassVar

from pydantic import Field

from pipeline.kinds import Frozen, Part
from pipeline.packing.union import AnyFormulation


class SolverSettings(Frozen):
    """Precision of the solver; the verifier does not depend on it.

    84 bits are the fewest that a search of any dimension and degree ends with, 112 enough for the
    lowest degree of all dimensions; high degrees want more.
    """

    precision_bits: Annotated[int, Field(ge=84, le=65536)] = 512


class Bound(Part):
    """An upper bound on the sphere packing density."""

    stage_modules: ClassVar[tuple[str, ...]] = ("pipeline.packing.stage",)

    formulation: AnyFormulation
    solver: SolverSettings = SolverSettings()
