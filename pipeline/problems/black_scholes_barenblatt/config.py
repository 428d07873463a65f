"""Configuration of the problem `black_scholes_barenblatt`."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.problems.settings import InTime


class BlackScholesBarenblatt(InTime):
    """Black–Scholes–Barenblatt equation backward from |x|² at t = 1, of correlated assets."""

    lifecycle = "experimental"
    mixed_by: ClassVar[str] = "correlation"

    kind: Literal["black_scholes_barenblatt"]
    correlation: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description=(
            "Correlation ρ of any two assets. Above 0 the equation has mixed derivatives, d + 1"
            " directions to sample in place of d axes and no `skip`; the solution stays the same."
        ),
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "Black–Scholes–Barenblatt"

    def baseline(self) -> str:
        """Return the formula of the trivial predictor; C is the best constant."""
        return "|x|² + C (1 − t)"
