"""Configuration of the Fourier neural operator."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Strict

from pipeline.limits import Layers, Size
from pipeline.models.settings import FieldSpec, ModelKind

Modes = Annotated[tuple[Size, ...], Strict(False)]


class FNO(ModelKind):
    """Fourier neural operator (Li et al., arXiv:2010.08895): `modes` frequencies per axis."""

    kind: Literal["fno"]
    modes: Modes
    width: Size = 64
    depth: Layers = 4

    def fits(self, spec: FieldSpec) -> Iterator[str]:
        """Yield why the frequencies are more than the grid has, or for other axes."""
        if len(self.modes) != len(spec.grid):
            yield (
                f"modes: expected {len(spec.grid)} numbers for dataset {spec.dataset!r},"
                f" got {len(self.modes)}"
            )
            return
        for axis, (modes, points) in enumerate(zip(self.modes, spec.grid, strict=True)):
            if modes > points // 2:
                yield (
                    f"modes: expected at most {points // 2} on axis {axis}, whose training grid has"
                    f" {points} points, got {modes}"
                )
