"""Configuration of the problem `hjb`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.limits import Magnitude, Seed
from pipeline.problems.settings import InTime


class HJB(InTime):
    """Hamilton–Jacobi–Bellman equation backward from t = 1; `mu` is for lqg and rosenbrock.

    Training points are standard `normal` in space, as published, or lie on the `paths` of √2 W that
    start at such points: on those the values there depend.
    """

    kind: Literal["hjb"]
    equation: Literal["lqg", "rosenbrock", "lin"] = "lqg"
    mu: Magnitude = 1.0
    points: Literal["normal", "paths"] = "normal"
    coefficient_seed: Seed = 0
    reference_samples: Annotated[int, Field(ge=2, le=10**8)] = 4096
    reference_seed: Seed = 0

    @model_validator(mode="after")
    def _has_neighbours(self) -> "HJB":
        if self.equation == "rosenbrock" and self.dim < 2:
            raise ValueError(f"dim: expected at least 2 for rosenbrock, got {self.dim}")
        return self
