"""Configuration of the estimator `full`."""

from typing import ClassVar, Literal

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Size


class Full(EstimatorKind):
    """The naive baseline: every coordinate of the Laplacian, `chunk` at a time."""

    layerwise: ClassVar[bool] = False
    knows_parts: ClassVar[bool] = False

    kind: Literal["full"]
    chunk: Size = 50
