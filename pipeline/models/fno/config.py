"""Configuration of the Fourier neural operator."""

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, Strict

from pipeline.limits import Layers, Size
from pipeline.models.settings import FieldSpec, ModelKind
from pipeline.wording import Words, always, text

Modes = Annotated[tuple[Size, ...], Strict(False)]


class FNO(ModelKind):
    """Fourier neural operator (Li et al., arXiv:2010.08895) in one or two space dimensions."""

    lifecycle = "stable"
    words: ClassVar[Words] = {
        "modes": always(lambda modes: f"{text(modes)} modes"),
        "width": always(lambda width: f"width {width}"),
        "depth": always(lambda depth: f"depth {depth}"),
    }

    kind: Literal["fno"]
    modes: Modes = Field(
        description=(
            "Frequencies that are kept, one number an axis, each at most half of the points of the"
            " training grid. 12 to 32 are usual; too few blur steep solutions, and weights grow"
            " with the product."
        )
    )
    width: Size = Field(
        default=64,
        description=(
            "Channels of each layer; 24 to 64 are usual. Weights and the time of a step grow with"
            " its square."
        ),
    )
    depth: Layers = Field(default=4, description="Number of Fourier layers; 4 as published.")

    def num_weights(self) -> tuple[int, str]:
        """Return the number of weights but for biases and both ends, and the key of most."""
        width, modes = self.width, self.modes
        return self.depth * width**2 * (2 ** len(modes) * math.prod(modes) + 1), "width"

    def kept_frequencies(self) -> tuple[int, ...]:
        """Return how many frequencies an axis the network keeps."""
        return self.modes

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

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "FNO"
