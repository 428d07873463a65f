"""Configuration of two-point bounds."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.packing.settings import Degree, FormulationKind


class TwoPoint(FormulationKind):
    """Cohn–Elkies bound from f = p(2π|x|²) exp(-π|x|²), deg p = `degree`."""

    kind: Literal["two_point"]
    dim: Annotated[int, Field(ge=1, le=48)]
    degree: Degree = 47
