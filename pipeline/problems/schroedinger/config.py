"""Configuration of the problem `schroedinger`."""

from typing import Literal

from pydantic import Field

from pipeline.limits import Seed
from pipeline.problems.settings import InSpace


class Schroedinger(InSpace):
    """Ground state of an anisotropic harmonic oscillator, in log form, on a ball."""

    kind: Literal["schroedinger"]
    coefficient_seed: Seed = Field(
        default=0,
        description=(
            "Seed of the frequencies ω of the axes, uniform on (0.5, 1.5) and shifted to the mean"
            " 1."
        ),
    )
