"""What the configurations of PINN problems share."""

from typing import ClassVar, Literal

from pydantic import model_validator

from pipeline.kinds import Kind
from pipeline.limits import RadiusExponent, Seed, Size


class ProblemKind(Kind):
    """A boundary value problem that a PINN solves.

    divides_axes: its terms can be computed where every process has some of the axes alone.
    mixed_by: the field that, unless zero, makes mixed derivatives a part of the equation, or none.
    """

    implementation: ClassVar[str] = "problem"
    divides_axes: ClassVar[bool] = False
    mixed_by: ClassVar[str] = ""

    @property
    def is_mixed(self) -> bool:
        """Return whether the equation has mixed derivatives."""
        return bool(self.mixed_by) and bool(getattr(self, self.mixed_by))


class InSpace(ProblemKind):
    """A problem in `dim` axes of space."""

    dim: Size

    @property
    def num_inputs(self) -> int:
        """Return the number of coordinates of a point."""
        return self.dim


class InTime(InSpace):
    """A problem in `dim` axes of space and in time."""

    @property
    def num_inputs(self) -> int:
        """Return the number of coordinates of a point."""
        return self.dim + 1


class Inseparable(InSpace):
    """What the inseparable solutions on the unit ball (Hu et al., arXiv:2307.12306) share.

    Collocation points lie at radius U^radius_exponent, U uniform on (0, 1); 1 as published.
    """

    divides_axes: ClassVar[bool] = True
    bodies: ClassVar[int]

    equation: Literal["poisson", "allen_cahn", "sine_gordon"] = "sine_gordon"
    coefficient_seed: Seed = 0
    zero_sum: bool = True
    radius_exponent: RadiusExponent = 1.0

    @model_validator(mode="after")
    def _enough_axes(self) -> "Inseparable":
        # One centred coefficient is zero, and so is u.
        least = self.bodies + self.zero_sum
        if self.dim < least:
            raise ValueError(
                f"dim: expected at least {least} with zero_sum={self.zero_sum}, got {self.dim}"
            )
        return self
