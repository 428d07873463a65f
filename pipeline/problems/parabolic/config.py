"""Configuration of the problem `parabolic`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pipeline.kinds import Whole
from pipeline.problems.settings import EQUATIONS, InTime
from pipeline.wording import Words, elsewhere


class Parabolic(InTime):
    """Semilinear heat equation with a published value at (0.3, 0), known in four dimensions."""

    lifecycle = "stable"
    words: ClassVar[Words] = {"equation": elsewhere, **InTime.words}

    kind: Literal["parabolic"]
    dim: Annotated[Literal[10, 100, 1000, 10_000], Whole] = Field(
        description="Number d of axes of space: one of those that a value is published for."
    )
    equation: Literal["heat", "allen_cahn", "sine_gordon"] = Field(
        description=(
            "The reaction f of u_t = Δu + f(u): (1 − u²)/(1 + u²) for heat, u − u³ for allen_cahn,"
            " sin u for sine_gordon. allen_cahn starts from arctan of the largest coordinate, the"
            " others from 5/(10 + 2|x|²)."
        )
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return f"{EQUATIONS[self.equation]}, parabolic, u(0.3, 0)"

    def baseline(self) -> str:
        """Return the formula of the trivial predictor; C is the best constant."""
        return "E u(0, √2 W_T), no reaction"
