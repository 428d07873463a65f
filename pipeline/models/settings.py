"""What the configurations of neural operators share."""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from pipeline.kinds import Kind


class FieldSpec(NamedTuple):
    """The fields that a model maps: points of the training `grid`, and whether it is periodic.

    `dataset` is the name of the data set, for complaints.
    """

    grid: tuple[int, ...]
    periodic: bool
    dataset: str


class ModelKind(Kind):
    """A neural operator: it maps input fields to target fields on one grid."""

    implementation: ClassVar[str] = "model"

    def fits(self, spec: FieldSpec) -> Iterator[str]:
        """Yield why the model does not take such fields, each "key: expected ..., got ..."."""
        yield from ()
