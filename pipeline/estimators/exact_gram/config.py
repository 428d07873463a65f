"""Configuration of the estimator `exact_gram`."""

from typing import ClassVar, Literal

from pipeline.estimators.settings import EstimatorKind


class ExactGram(EstimatorKind):
    """All coordinates, exactly, in as many directions as the network is wide."""

    lifecycle = "stable"
    divides_axes: ClassVar[bool] = True

    kind: Literal["exact_gram"]

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "exact operator (Gram matrix)"
