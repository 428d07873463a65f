"""Configuration of the estimator `full`."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.estimators.settings import EstimatorKind
from pipeline.limits import Size


class Full(EstimatorKind):
    """The naive baseline: every axis of the Laplacian by nested derivatives, exactly."""

    lifecycle = "stable"
    layerwise: ClassVar[bool] = False
    knows_parts: ClassVar[bool] = False

    kind: Literal["full"]
    chunk: Size = Field(
        default=50,
        description=(
            "Axes whose derivatives are held at a time. Memory grows with it; the numbers stay the"
            " same, up to rounding."
        ),
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "full operator (naive baseline)"
