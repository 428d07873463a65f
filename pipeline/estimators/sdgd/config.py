"""Configuration of the estimator `sdgd`."""

from typing import ClassVar, Literal

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Size


class SDGD(EstimatorKind):
    """Sample `sampled_axes` coordinates of the Laplacian a step, without replacement."""

    divides_axes: ClassVar[bool] = True
    axes_key: ClassVar[str] = "sampled_axes"

    kind: Literal["sdgd"]
    sampled_axes: Size = 16
