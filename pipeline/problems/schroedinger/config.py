"""Configuration of the problem `schroedinger`."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.limits import Seed
from pipeline.problems.settings import DRAW, InSpace
from pipeline.wording import Words


class Schroedinger(InSpace):
    """Ground state of an anisotropic harmonic oscillator, in log form, on a ball."""

    lifecycle = "experimental"
    words: ClassVar[Words] = {
        **InSpace.words,
        "coefficient_seed": DRAW,
    }

    kind: Literal["schroedinger"]
    coefficient_seed: Seed = Field(
        default=0,
        description=(
            "Seed of the frequencies ω of the axes, uniform on (0.5, 1.5) and shifted to the mean"
            " 1."
        ),
    )

    def label(self) -> str:
        """Return the name of the kind for reports."""
        return "Schrödinger ground state (log)"

    def baseline(self) -> str:
        """Return the formula of the trivial predictor; C is the best constant."""
        return "−(|x|²/2d) Σ ω_i x_i² + C (1 − |x|²/d)"
