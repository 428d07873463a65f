"""What the configurations of PINN problems share."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.kinds import Kind
from pipeline.limits import RadiusExponent, Seed, Size
from pipeline.wording import Words, always, elsewhere, number, unless

# Nonlinear parts that problems share, by their keys.
EQUATIONS = {
    "heat": "heat with source",
    "poisson": "Poisson",
    "allen_cahn": "Allen–Cahn",
    "sine_gordon": "sine-Gordon",
}


# The phrase of a seed of coefficients, of which 0 is the usual one.
DRAW = unless(0, lambda seed: f"draw {seed}")


class ProblemKind(Kind):
    """A boundary value problem that a PINN solves.

    divides_axes: its terms can be computed where every process has some of the axes alone.
    mixed_by: the field that, unless zero, makes mixed derivatives a part of the equation, or none.
    """

    implementation: ClassVar[str] = "problem"
    words: ClassVar[Words] = {"dim": always(lambda dim: f"d = {dim:,}")}
    divides_axes: ClassVar[bool] = False
    mixed_by: ClassVar[str] = ""

    @property
    def is_mixed(self) -> bool:
        """Return whether the equation has mixed derivatives."""
        # A coefficient of zero leaves an equation without mixed derivatives.
        return bool(self.mixed_by) and bool(getattr(self, self.mixed_by))

    def baseline(self) -> str:
        """Return the formula of the trivial predictor; C is the best constant."""
        # What the ansatz A + B N knows, with a constant for N.
        return "A + C B, the conditions"


class InSpace(ProblemKind):
    """A problem in `dim` axes of space."""

    dim: Size = Field(
        description=(
            "Number d of axes of space. The first layer of a network has d · width weights; what"
            " does not fit into memory is refused before any job."
        )
    )

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
    """What the inseparable solutions on the unit ball (Hu et al., arXiv:2307.12306) share."""

    words: ClassVar[Words] = {
        "equation": elsewhere,
        **InSpace.words,
        "zero_sum": always(lambda centred: "Σc = 0" if centred else "Σc ≠ 0"),
        "coefficient_seed": DRAW,
        "radius_exponent": unless(
            1.0, lambda power: f"training points at radius U^{number(power)}"
        ),
    }
    divides_axes: ClassVar[bool] = True
    bodies: ClassVar[int]

    equation: Literal["poisson", "allen_cahn", "sine_gordon"] = Field(
        default="sine_gordon",
        description=(
            "The equation Δu + g(u) = f: g = 0 for poisson, u − u³ for allen_cahn, sin u for"
            " sine_gordon. At high d the Laplacian outweighs g."
        ),
    )
    coefficient_seed: Seed = Field(
        default=0,
        description="Seed of the coefficients c of the solution, standard normal numbers.",
    )
    zero_sum: bool = Field(
        default=True,
        description=(
            "Whether the coefficients are centred, so that their sum is 0; two_body then takes d of"
            " at least 3 and three_body 4, else one less. Not centred, as published, the solution"
            " at high d is close to a multiple of 1 − |x|², and a small error alone says little:"
            " judge it by the skill."
        ),
    )
    radius_exponent: RadiusExponent = Field(
        default=1.0,
        description=(
            "Training points lie at the radius U^radius_exponent, U uniform on (0, 1): 1 as"
            " published; 0.2 puts more of them near the sphere, where they tell more of a quadratic"
            " `skip`. Test points keep 1."
        ),
    )

    @model_validator(mode="after")
    def _enough_axes(self) -> "Inseparable":
        # One centred coefficient is zero, and so is u.
        least = self.bodies + self.zero_sum
        if self.dim < least:
            raise ValueError(
                f"dim: expected at least {least} with zero_sum={self.zero_sum}, got {self.dim}"
            )
        return self

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return f"{EQUATIONS[self.equation]}, {super().label().replace(' ', '-')} solution"

    def baseline(self) -> str:
        """Return the formula of the trivial predictor; C is the best constant."""
        return "C (1 − |x|²)"
