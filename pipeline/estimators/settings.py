"""What the configurations of estimators share."""

from typing import ClassVar

from pipeline.kinds import Kind
from pipeline.wording import elsewhere, phrases


class EstimatorKind(Kind):
    """An estimator of the terms of an operator.

    layerwise: it differentiates layer by layer, so that torch can compile a step.
    knows_parts: it takes derivatives of known parts of the ansatz in closed form.
    divides_axes: it works where every process has some of the axes alone.
    axes_key: the field with the number of distinct axes that a step takes, or none.
    """

    implementation: ClassVar[str] = "estimator"
    layerwise: ClassVar[bool] = True
    knows_parts: ClassVar[bool] = True
    divides_axes: ClassVar[bool] = False
    axes_key: ClassVar[str] = ""

    def label_of(self, dim: int) -> str:
        """Return the name of the kind for reports, and how much of `dim` axes it samples."""
        if not self.axes_key:
            return self.label()
        return f"{self.label()}, {getattr(self, self.axes_key)} of {dim:,} axes"

    def title_of(self, dim: int) -> str:
        """Return the label and what tells it from others of its kind."""
        words = {**self.words, self.axes_key: elsewhere}
        return ", ".join([self.label_of(dim), *phrases(self, words)])
