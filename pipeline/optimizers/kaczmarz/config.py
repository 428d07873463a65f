"""Configuration of Kaczmarz steps."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.limits import Magnitude, Relative
from pipeline.optimizers.settings import OptimizerKind


class Kaczmarz(OptimizerKind):
    """Natural-gradient steps in sample space for the polynomial `skip`; Adam for the network."""

    lifecycle = "stable"
    divides_points: ClassVar[bool] = False
    moves_polynomial: ClassVar[bool] = True

    kind: Literal["kaczmarz"]
    network_after: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description=(
            "Fraction of the steps for which the network is zero and the polynomial learns alone;"
            " 1 leaves the network out, which suffices for two_body from d = 100 on. With early"
            " stopping set its `min_steps` beyond it."
        ),
    )
    damping: Relative = Field(
        default=1.0e-4,
        description=(
            "Regularisation of a step's linear system, relative to the mean of the diagonal of its"
            " matrix. Larger values shorten the steps; below about 1e-7 it is lost in rounding, and"
            " steps may explode where points are nearly dependent."
        ),
    )
    quadratic_weight: Magnitude | None = Field(
        default=None,
        description=(
            "How many times as far as coefficients of degree 1 those of degree 2 move; null is the"
            " root of the number of coordinates. It is used with `skip: quadratic` alone."
        ),
    )

    @property
    def trains_network(self) -> bool:
        """Return whether the network takes part at any step."""
        return self.network_after < 1.0

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "Kaczmarz steps"
