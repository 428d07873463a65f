"""Configuration of the estimator `sdgd`."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Size
from pipeline.wording import Words, elsewhere


class SDGD(EstimatorKind):
    """SDGD: some axes of the Laplacian, drawn at each step without replacement."""

    lifecycle = "stable"
    divides_axes: ClassVar[bool] = True
    axes_key: ClassVar[str] = "sampled_axes"
    words: ClassVar[Words] = {"sampled_axes": elsewhere}

    kind: Literal["sdgd"]
    sampled_axes: Size = Field(
        default=16,
        description=(
            "Number b of axes that are drawn for an estimate, at most d; b = d is exact. The"
            " variance of the estimate falls as b grows, and the time of a step grows with b."
        ),
    )

    def label_of(self, dim: int) -> str:
        """Return the name of the kind for reports, and how much of `dim` axes it samples."""
        return f"SDGD, {self.sampled_axes} of {dim:,} axes"
