"""Configuration of the Burgers equation."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.equations.settings import SampledEquation
from pipeline.kinds import refuse
from pipeline.limits import Time, Viscosity, too_many_steps, too_viscous
from pipeline.wording import Words, always, number, unless


class Burgers(SampledEquation):
    """u_t + u u_x = viscosity u_xx on the periodic unit interval, from a Gaussian random field."""

    lifecycle = "stable"
    error_of: ClassVar[str] = "L², space and time"
    num_axes: ClassVar[int] = 1
    periodic: ClassVar[bool] = True
    # Spectral data are far below it, or far above where a shock is not resolved.
    default_tolerance: ClassVar[float] = 1.0e-4
    words: ClassVar[Words] = {
        "viscosity": always(lambda viscosity: f"viscosity {number(viscosity)}"),
        "final_time": unless(1.0, lambda end: f"until t = {number(end)}"),
    }

    kind: Literal["burgers"]
    viscosity: Viscosity = Field(
        description=(
            "Viscosity ν, where lengths and velocities are about 1. A shock is about 8ν wide: 1,024"
            " points resolve ν ≥ 0.005. Too small a ν for the grid misses the tolerance."
        )
    )
    final_time: Time = Field(
        default=1.0,
        description=(
            "Time T of the target u(x, T). Refused if ν T > 1, when nothing but rounding is left,"
            " and beyond 10,000,000 time steps."
        ),
    )
    time_step: Time = Field(
        default=2.0e-3,
        description=(
            "Longest step of the time integration, which is of fourth order; it is shortened to"
            " divide `final_time`. Too long a step diverges or misses the tolerance, and the"
            " message names a shorter one."
        ),
    )

    @model_validator(mode="after")
    def _can_be_solved(self) -> "Burgers":
        # exp(-4π²) = 7e-18.
        refuse(
            too_many_steps(self.final_time, self.time_step),
            too_viscous(self.viscosity, self.final_time, 1.0, "4π² "),
        )
        return self

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "Burgers"
