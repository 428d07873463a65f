"""Configuration of two-point bounds."""

from typing import Literal

from pydantic import Field

from pipeline.packing.settings import Degree, FormulationKind


class TwoPoint(FormulationKind):
    """Cohn–Elkies bound from f = p(2π|x|²) exp(-π|x|²), p a polynomial."""

    lifecycle = "stable"

    kind: Literal["two_point"]
    dim: int = Field(ge=1, le=48, description="Dimension n of space.")
    degree: Degree = Field(
        default=47,
        description=(
            "Degree of p, 4m + 3. The bound falls with it towards a limit, to 12 digits at about"
            " 6n + 100 from n = 8 on. In lower dimensions the search loses its way at high degrees:"
            " 11 for n = 1, 27 for 2 and 83 for 3 to 7 are known to work."
        ),
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "two-point"
