"""Configuration of Darcy flow."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.equations.settings import SampledEquation
from pipeline.limits import InverseLength, Magnitude, Smoothness
from pipeline.wording import Words, elsewhere, number


class Darcy(SampledEquation):
    """-div(a grad u) = 1 on the unit square, u = 0 on its boundary, two-valued random a."""

    lifecycle = "stable"
    error_of: ClassVar[str] = "L², space"
    num_axes: ClassVar[int] = 2
    periodic: ClassVar[bool] = False
    # First order where the coefficient jumps: a few per cent on 64 x 64 points.
    default_tolerance: ClassVar[float] = 0.1
    words: ClassVar[Words] = {
        "low": lambda low, part: f"a ∈ {{{number(low)}, {number(part.high)}}}",
        "high": elsewhere,
    }

    kind: Literal["darcy"]
    low: Magnitude = Field(
        default=3.0,
        description="Permeability a where the random Gaussian field is negative; 3 as published.",
    )
    high: Magnitude = Field(
        default=12.0,
        description=(
            "Permeability a elsewhere; 12 as published. The error and the iterations grow with the"
            " contrast of the two values, and at a contrast in the hundreds the solver is slow."
        ),
    )
    smoothness: Smoothness = Field(
        default=2.0,
        description=(
            "Exponent α of the covariance (−Δ + τ²)^(−α) of the Gaussian field; 2 as published."
            " Larger values give smoother interfaces; at 1 or less the field has no limit on finer"
            " grids."
        ),
    )
    inverse_length: InverseLength = Field(
        default=3.0,
        description=(
            "Inverse correlation length τ of the Gaussian field, in a square of side 1; 3 as"
            " published. Larger values give smaller patches, which the grid has to resolve."
        ),
    )
    tolerance: float = Field(
        default=1.0e-10,
        ge=1e-30,
        le=1.0,
        description=(
            "Relative residual to which the linear system is solved. The default is far below the"
            " error of the grid; what double precision does not reach within 500 iterations ends"
            " the stage."
        ),
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "Darcy"
