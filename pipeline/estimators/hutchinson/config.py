"""Configuration of the estimator `hutchinson`."""

from typing import Literal

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Directions


class Hutchinson(EstimatorKind):
    """Hutchinson: `num_directions` random directions in all of space a step."""

    kind: Literal["hutchinson"]
    num_directions: Directions = 16
    distribution: Literal["rademacher", "gaussian"] = "rademacher"
