"""Configuration of Navier–Stokes flow."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.equations.settings import Flow
from pipeline.kinds import Titled, refuse
from pipeline.limits import Magnitude, Time, Viscosity, Wavenumber, too_many_steps, too_viscous
from pipeline.wording import Words, always, number


class TaylorGreen(Titled):
    """u = (sin x cos y cos z, -cos x sin y cos z, 0); Reynolds number 1/viscosity."""

    kind: Literal["taylor_green"]

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "Taylor–Green vortex"


class DecayingTurbulence(Titled):
    """A random solenoidal field, E(k) ∝ k⁴ exp(-2 (k/peak_wavenumber)²), drawn from the seed."""

    kind: Literal["decaying_turbulence"]
    energy: Magnitude = Field(
        default=0.5,
        description=(
            "Mean kinetic energy ½⟨|u|²⟩ of the field. More of it needs a smaller time step and a"
            " finer grid."
        ),
    )
    peak_wavenumber: Wavenumber = Field(
        default=3.0,
        description=(
            "Wave number at which the energy spectrum is largest. Good values are far below a third"
            " of the grid's points, the end of what the grid holds."
        ),
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "decaying turbulence"


AnyInitial = Annotated[TaylorGreen | DecayingTurbulence, Field(discriminator="kind")]


class NavierStokes(Flow):
    """Incompressible flow in the periodic cube of side 2π from `initial` to `final_time`."""

    lifecycle = "stable"
    error_of: ClassVar[str] = "L² of the velocity, space and time"
    # Of the whole velocity field; the averages of a flow are far more accurate.
    default_tolerance: ClassVar[float] = 0.2
    words: ClassVar[Words] = {
        "initial": lambda initial, part: initial.title(),
        "viscosity": always(lambda viscosity: f"viscosity {number(viscosity)}"),
        "final_time": always(lambda end: f"until t = {number(end)}"),
    }

    kind: Literal["navier_stokes"]
    viscosity: Viscosity = Field(
        description=(
            "Kinematic viscosity; the Reynolds number is about one over it. For the Taylor–Green"
            " vortex 48³ points suffice at 0.01, 64³ at 0.005 and 80³ at 0.0025; too small a value"
            " for the grid misses the tolerance."
        )
    )
    initial: AnyInitial = Field(description="The velocity field at time 0.")
    final_time: Time = Field(
        description=(
            "Time of the last snapshot. Refused if viscosity · final_time > 80, when nothing but"
            " rounding is left, and beyond 10,000,000 time steps."
        )
    )
    time_step: Time = Field(
        default=0.02,
        description=(
            "Longest step of the time integration, which is of fourth order; it is shortened to"
            " divide the time between snapshots. For N points an axis it is stable up to about"
            " 8 / (N max|u|); a longer one diverges or misses the tolerance, which ends the stage."
        ),
    )

    @model_validator(mode="after")
    def _can_be_solved(self) -> "NavierStokes":
        # exp(-80) = 2e-35 is the end of single precision.
        refuse(
            too_many_steps(self.final_time, self.time_step),
            too_viscous(self.viscosity, self.final_time, 80.0, ""),
        )
        return self

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "Navier–Stokes"
