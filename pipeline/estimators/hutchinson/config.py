"""Configuration of the estimator `hutchinson`."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Directions
from pipeline.wording import Words, elsewhere


class Hutchinson(EstimatorKind):
    """Hutchinson's trace estimate: random directions in all of space, drawn at each step."""

    lifecycle = "stable"
    words: ClassVar[Words] = {"num_directions": elsewhere, "distribution": elsewhere}

    kind: Literal["hutchinson"]
    num_directions: Directions = Field(
        default=16,
        description=(
            "Number b of directions that are drawn for an estimate; they may outnumber the axes."
            " The variance falls as 1/b and is never zero; the first layer takes b · d products a"
            " unit."
        ),
    )
    distribution: Literal["rademacher", "gaussian"] = Field(
        default="rademacher",
        description=(
            "Random signs, which see the diagonal of the Hessian exactly, or standard normal"
            " numbers, whose variance is larger."
        ),
    )

    def label_of(self, dim: int) -> str:
        """Return the name of the kind for reports, and how much of `dim` axes it samples."""
        return f"Hutchinson, {self.num_directions} {self.distribution}"
