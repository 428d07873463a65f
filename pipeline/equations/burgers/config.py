"""Configuration of the Burgers equation."""

from typing import ClassVar, Literal

from pydantic import model_validator

from pipeline.equations.settings import SampledEquation
from pipeline.kinds import refuse
from pipeline.limits import Time, Viscosity, too_many_steps, too_viscous


class Burgers(SampledEquation):
    """u_t + u u_x = viscosity u_xx on the periodic unit interval, from a Gaussian random field."""

    error_of: ClassVar[str] = "L², space and time"
    num_axes: ClassVar[int] = 1
    periodic: ClassVar[bool] = True
    # Spectral data are far below it, or far above where a shock is not resolved.
    default_tolerance: ClassVar[float] = 1.0e-4

    kind: Literal["burgers"]
    viscosity: Viscosity
    final_time: Time = 1.0
    time_step: Time = 2.0e-3

    @model_validator(mode="after")
    def _can_be_solved(self) -> "Burgers":
        # exp(-4π²) = 7e-18.
        refuse(
            too_many_steps(self.final_time, self.time_step),
            too_viscous(self.viscosity, self.final_time, 1.0, "4π² "),
        )
        return self
