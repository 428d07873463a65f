"""Configuration of Navier–Stokes flow."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.equations.settings import Flow
from pipeline.kinds import Frozen, refuse
from pipeline.limits import Magnitude, Time, Viscosity, Wavenumber, too_many_steps, too_viscous


class TaylorGreen(Frozen):
    """u = (sin x cos y cos z, -cos x sin y cos z, 0); Reynolds number 1/viscosity."""

    kind: Literal["taylor_green"]


class DecayingTurbulence(Frozen):
    """A random solenoidal field, E(k) ∝ k⁴ exp(-2 (k/peak_wavenumber)²), drawn from the seed."""

    kind: Literal["decaying_turbulence"]
    energy: Magnitude = 0.5
    peak_wavenumber: Wavenumber = 3.0


class NavierStokes(Flow):
    """Incompressible flow in the periodic cube of side 2π from `initial` to `final_time`."""

    error_of: ClassVar[str] = "L² of the velocity, space and time"
    # Of the whole velocity field; the averages of a flow are far more accurate.
    default_tolerance: ClassVar[float] = 0.2

    kind: Literal["navier_stokes"]
    viscosity: Viscosity
    initial: Annotated[TaylorGreen | DecayingTurbulence, Field(discriminator="kind")]
    final_time: Time
    time_step: Time = 0.02

    @model_validator(mode="after")
    def _can_be_solved(self) -> "NavierStokes":
        # exp(-80) = 2e-35 is the end of single precision.
        refuse(
            too_many_steps(self.final_time, self.time_step),
            too_viscous(self.viscosity, self.final_time, 80.0, ""),
        )
        return self
