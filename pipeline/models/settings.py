"""What the configurations of neural operators share."""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from pipeline.kinds import Kind

# Of the linear map beside a model that keeps all frequencies.
FREQUENCIES = 16


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

    def num_weights(self) -> tuple[int, str]:
        """Return the least number of weights, and the key that makes them many; none by default."""
        return 0, "kind"

    def kept_frequencies(self) -> tuple[int, ...] | None:
        """Return how many frequencies an axis the model keeps, None if it drops none."""
        return None

    def frequencies(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        """Return how many frequencies an axis the linear map beside it takes (`baselines`).

        Those that the model keeps, if it drops others; else up to `FREQUENCIES`.
        """
        return self.kept_frequencies() or tuple(min(FREQUENCIES, points // 2) for points in grid)

    def fits(self, spec: FieldSpec) -> Iterator[str]:
        """Yield why the model does not take such fields, each "key: expected ..., got ..."."""
        yield from ()
