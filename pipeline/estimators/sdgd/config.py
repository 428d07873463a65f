"""Configuration of the estimator `sdgd`."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Size


class SDGD(EstimatorKind):
    """SDGD: some axes of the Laplacian, drawn at each step without replacement."""

    lifecycle = "stable"
    divides_axes: ClassVar[bool] = True
    axes_key: ClassVar[str] = "sampled_axes"

    kind: Literal["sdgd"]
    sampled_axes: Size = Field(
        default=16,
        description=(
            "Number b of axes that are drawn for an estimate, at most d; b = d is exact. The"
            " variance of the estimate falls as b grows, and the time of a step grows with b."
        ),
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "SDGD"
