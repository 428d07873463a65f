"""Bounds of several experiments side by side; only a verdict makes one of them proved."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.aggregate.across.experiments import Member
from pipeline.aggregate.read.results import BoundResult, Missing
from pipeline.aggregate.sections.bounds import best
from pipeline.packing.config import Bound


@dataclass(frozen=True)
class SideBySide:
    """What each experiment has of the bounds of one name in one dimension; None: not asked for."""

    dim: int
    name: str
    cells: tuple[BoundResult | Missing | None, ...]

    @property
    def best(self) -> BoundResult | None:
        """Return the least proved bound, or None if none is proved."""
        return best([cell for cell in self.cells if isinstance(cell, BoundResult)])

    def same_certificates(self, members: Sequence[Member]) -> list[str]:
        """Return a note for each certificate that several experiments have."""
        whose: dict[str, list[str]] = {}
        for member, cell in zip(members, self.cells, strict=True):
            if isinstance(cell, BoundResult) and cell.verdict.certificate_sha256:
                whose.setdefault(cell.verdict.certificate_sha256, []).append(member.label)
        return [
            f"{', '.join(labels)}: the same certificate {digest[:12]}…"
            for digest, labels in whose.items()
            if len(labels) > 1
        ]


def side_by_side(members: Sequence[Member]) -> list[SideBySide]:
    """Return a row for each name and dimension of a bound, by dimension."""
    found: dict[tuple[int, str], list[BoundResult | Missing | None]] = {}
    for index, member in enumerate(members):
        results = member.results
        missing = [part for part in results.missing if isinstance(part.config, Bound)]
        parts: list[BoundResult | Missing] = [*results.bounds, *missing]
        for part in parts:
            assert isinstance(part.config, Bound)
            # By name and dimension: other settings may differ, and that is what is compared.
            key = part.config.formulation.dim, part.name
            found.setdefault(key, [None] * len(members))[index] = part
    rows = sorted(found.items(), key=lambda item: item[0][0])
    return [SideBySide(dim, name, tuple(cells)) for (dim, name), cells in rows]
