"""Configuration of the problem `fokker_planck`."""

from typing import Literal

from pipeline.limits import Seed
from pipeline.problems.settings import InTime


class FokkerPlanck(InTime):
    """Log-density of an anisotropic Ornstein–Uhlenbeck process up to t = 1."""

    kind: Literal["fokker_planck"]
    coefficient_seed: Seed = 0
