"""Configuration of the estimator `double_backward`."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Size


class DoubleBackward(EstimatorKind):
    """The axes of SDGD by reverse over reverse mode, axis by axis, as one writes it in PyTorch."""

    lifecycle = "stable"
    layerwise: ClassVar[bool] = False
    knows_parts: ClassVar[bool] = False
    axes_key: ClassVar[str] = "sampled_axes"

    kind: Literal["double_backward"]
    sampled_axes: Size = Field(
        default=16,
        description=(
            "Number b of axes that are drawn for an estimate, at most d; b = d is exact. Each one"
            " costs a backward pass over all coordinates."
        ),
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "SDGD by double backward"
