"""Configuration of the estimator `auto`."""

from typing import Literal

from pydantic import Field

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Magnitude, Size


class Auto(EstimatorKind):
    """exact_gram where it applies and is not too slow, else sdgd; it measures before step 1."""

    lifecycle = "experimental"

    kind: Literal["auto"]
    sampled_axes: Size = Field(
        default=16,
        description=(
            "Number of axes that sdgd draws. Up to as many dimensions it takes all axes, which is"
            " exact, and nothing is left to choose."
        ),
    )
    max_slowdown: Magnitude = Field(
        default=8.0,
        description=(
            "exact_gram is chosen if one of its steps takes at most so many times the time of one"
            " of sdgd. The choice is kept, so that a rerun makes it again."
        ),
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "estimator chosen by measurement"
