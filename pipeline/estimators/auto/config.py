"""Configuration of the estimator `auto`."""

from typing import Literal

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Magnitude, Size


class Auto(EstimatorKind):
    """exact_gram where it applies and a step is at most `max_slowdown` times slower, else sdgd."""

    kind: Literal["auto"]
    sampled_axes: Size = 16
    max_slowdown: Magnitude = 8.0
