"""Configuration of the estimator `jet`."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Size


class Jet(EstimatorKind):
    """The axes of SDGD by nested forward mode, for any network."""

    lifecycle = "experimental"
    layerwise: ClassVar[bool] = False
    axes_key: ClassVar[str] = "sampled_axes"

    kind: Literal["jet"]
    sampled_axes: Size = Field(
        default=16,
        description=(
            "Number b of axes that are drawn for an estimate, at most d; b = d is exact. Each one"
            " costs about four passes through the network."
        ),
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "SDGD by nested jvp"
