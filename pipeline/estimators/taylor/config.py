"""Configuration of the estimator `taylor`."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Size


class Taylor(EstimatorKind):
    """STDE's sparse directions: basis vectors drawn without replacement, as SDGD draws them."""

    lifecycle = "stable"
    divides_axes: ClassVar[bool] = True
    axes_key: ClassVar[str] = "num_directions"

    kind: Literal["taylor"]
    num_directions: Size = Field(
        default=16,
        description=(
            "Number b of axes that are drawn for an estimate, at most d; b = d is exact. What"
            " `sampled_axes` is for sdgd."
        ),
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "STDE (sparse)"
