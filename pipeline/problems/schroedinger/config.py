"""Configuration of the problem `schroedinger`."""

from typing import Literal

from pipeline.limits import Seed
from pipeline.problems.settings import InSpace


class Schroedinger(InSpace):
    """Ground state of an anisotropic harmonic oscillator, in log form, on a ball."""

    kind: Literal["schroedinger"]
    coefficient_seed: Seed = 0
