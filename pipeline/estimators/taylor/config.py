"""Configuration of the estimator `taylor`."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Size
from pipeline.wording import Words, elsewhere


class Taylor(EstimatorKind):
    """STDE's sparse directions: basis vectors drawn without replacement, as SDGD draws them."""

    lifecycle = "stable"
    divides_axes: ClassVar[bool] = True
    axes_key: ClassVar[str] = "num_directions"
    words: ClassVar[Words] = {"num_directions": elsewhere}

    kind: Literal["taylor"]
    num_directions: Size = Field(
        default=16,
        description=(
            "Number b of axes that are drawn for an estimate, at most d; b = d is exact. What"
            " `sampled_axes` is for sdgd."
        ),
    )

    def label_of(self, dim: int) -> str:
        """Return the name of the kind for reports, and how much of `dim` axes it samples."""
        return f"STDE (sparse), {self.num_directions} of {dim:,} axes"
