"""Configuration of the problem `hjb`."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.limits import Magnitude, Seed
from pipeline.problems.settings import DRAW, InTime
from pipeline.wording import Words, elsewhere, number, unless


class HJB(InTime):
    """Hamilton–Jacobi–Bellman equation backward from t = 1."""

    lifecycle = "stable"
    words: ClassVar[Words] = {
        "equation": elsewhere,
        "mu": lambda mu, run: None if run.equation == "lin" and mu == 1.0 else f"μ = {number(mu)}",
        **InTime.words,
        "coefficient_seed": DRAW,
        "points": unless("normal", lambda where: f"training points on {where}"),
        "reference_samples": unless(4096, lambda count: f"reference from {count:,} samples"),
        "reference_seed": unless(0, lambda seed: f"draw {seed} of the reference"),
    }

    kind: Literal["hjb"]
    equation: Literal["lqg", "rosenbrock", "lin"] = Field(
        default="lqg",
        description=(
            "lqg ends at log((1 + |x|²)/2); rosenbrock at the logarithm of one plus a random"
            " quadratic form in neighbouring coordinates, which takes d of at least 2. lin has the"
            " gradient term Σ|u_i|^1.75 / d, which takes an estimator of single axes; a constant"
            " network solves it, so that nothing is to be learnt."
        ),
    )
    mu: Magnitude = Field(
        default=1.0,
        description=(
            "Weight μ of the term |∇u|² of lqg and rosenbrock; lin has none. A large one makes the"
            " Monte Carlo reference noisy, which `reference_error` of the run tells."
        ),
    )
    points: Literal["normal", "paths"] = Field(
        default="normal",
        description=(
            "Training points in space: standard normal as published, or on the paths of √2 W that"
            " start at such points and that the values there depend on. With lqg at high d take"
            " paths: with normal points training may converge to another function. Test points are"
            " always normal."
        ),
    )
    coefficient_seed: Seed = Field(
        default=0,
        description="Seed of the quadratic form of rosenbrock; the others have no coefficients.",
    )
    reference_samples: int = Field(
        default=4096,
        ge=2,
        le=10**8,
        description=(
            "Draws of the Monte Carlo reference of lqg and rosenbrock, the same at all test points;"
            " its error falls with their root. A million are quick for lqg, where a draw is two"
            " numbers a point; for rosenbrock it is d. lin is exact."
        ),
    )
    reference_seed: Seed = Field(
        default=0, description="Seed of the draws of the Monte Carlo reference."
    )

    @model_validator(mode="after")
    def _has_neighbours(self) -> "HJB":
        if self.equation == "rosenbrock" and self.dim < 2:
            raise ValueError(f"dim: expected at least 2 for rosenbrock, got {self.dim}")
        return self

    def label(self) -> str:
        """Return the name of the kind for reports."""
        labels = {"lqg": "HJB-LQG", "rosenbrock": "HJB-Rosenbrock", "lin": "HJB-LIN"}
        return labels[self.equation]

    def baseline(self) -> str:
        """Return the formula of the trivial predictor; C is the best constant."""
        return {
            "lqg": "log((1 + |x|² + 2d(1 − t))/2) + C (1 − t)",
            "rosenbrock": "g(x) + C (1 − t)",
            "lin": "Σ x_i + C (1 − t), the solution",
        }[self.equation]
